#include "idx.hpp"

#include <zlib.h>

#include <algorithm>
#include <array>
#include <iomanip>
#include <memory>

#include "data_error.hpp"

namespace mnist {
namespace {

using Bytes = std::vector<std::uint8_t>;

// Of a header and of an image; a header that asks for more is damaged, and is not to be believed.
constexpr std::uint64_t max_images = std::uint64_t{1} << 28;
constexpr std::uint64_t max_side = 4096;

/// A gzipped or plain file, read front to back: zlib passes plain files through.
class Reader {
 public:
  explicit Reader(std::filesystem::path path) : path_(std::move(path)) {
    file_.reset(gzopen(path_.c_str(), "rb"));
    if (!file_) fail(path_, "cannot be opened for reading");
    gzbuffer(file_.get(), 1U << 17);
  }

  /// Up to `limit` bytes; fewer only at the end of the file, a torn gzip stream included.
  Bytes read(std::uint64_t limit) {
    constexpr std::uint64_t block = 1U << 20;
    Bytes bytes;
    while (bytes.size() < limit) {
      const std::size_t before = bytes.size();
      const auto want = static_cast<unsigned>(std::min<std::uint64_t>(block, limit - before));
      bytes.resize(before + want);
      const int got = gzread(file_.get(), bytes.data() + before, want);
      int code = Z_OK;
      const char* words = gzerror(file_.get(), &code);
      if (got < 0 && code != Z_BUF_ERROR) fail(path_, "cannot be read: ", words);
      bytes.resize(before + static_cast<std::size_t>(std::max(got, 0)));
      if (got < static_cast<int>(want)) break;
    }
    return bytes;
  }

  std::uint32_t read_u32(const char* what) {
    const Bytes b = read(4);
    if (b.size() != 4) {
      fail(path_, "truncated: expected 4 bytes of ", what, " in the header, found ", b.size());
    }
    return std::uint32_t{b[0]} << 24 | std::uint32_t{b[1]} << 16 | std::uint32_t{b[2]} << 8 | b[3];
  }

  /// The rest of the file, which must be exactly `size` bytes.
  Bytes read_rest(std::uint64_t size, const std::string& what) {
    Bytes bytes = read(size + 1);
    if (bytes.size() < size) {
      fail(path_, "truncated: expected ", size, " bytes (", what, "), found ", bytes.size());
    }
    if (bytes.size() > size) {
      fail(path_, "too long: expected ", size, " bytes (", what, "), found more");
    }
    return bytes;
  }

  void expect_magic(std::uint32_t expected, const char* what) {
    const std::uint32_t found = read_u32("magic number");
    if (found == expected) return;
    fail(path_, "not an IDX file of ", what, ": expected magic number 0x", std::hex,
         std::setfill('0'), std::setw(8), expected, ", found 0x", std::setw(8), found);
  }

  [[nodiscard]] const std::filesystem::path& path() const noexcept { return path_; }

 private:
  struct Close {
    void operator()(gzFile file) const noexcept { gzclose(file); }
  };
  std::filesystem::path path_;
  std::unique_ptr<gzFile_s, Close> file_;
};

std::filesystem::path find(const std::filesystem::path& directory, const std::string& name) {
  const std::array candidates{directory / (name + ".gz"), directory / name};
  for (const auto& path : candidates) {
    if (std::filesystem::is_regular_file(path)) return path;
  }
  fail(candidates[1], "not found, with or without .gz");
}

void read_images(const std::filesystem::path& path, Dataset& data) {
  Reader file(path);
  file.expect_magic(0x00000803, "images");
  const std::uint64_t count = file.read_u32("image count");
  const std::uint64_t rows = file.read_u32("row count");
  const std::uint64_t columns = file.read_u32("column count");
  const std::string shape = std::to_string(count) + " images of " + std::to_string(rows) + " x " +
                            std::to_string(columns) + " pixels";
  if (count == 0 || rows == 0 || columns == 0 || count > max_images || rows > max_side ||
      columns > max_side) {
    fail(path, "expected 1 to ", max_images, " images of at most ", max_side,
         " pixels a side, found ", shape);
  }
  data.rows = rows;
  data.columns = columns;
  data.pixels = file.read_rest(count * rows * columns, shape);
}

void read_labels(const std::filesystem::path& path, Dataset& data) {
  Reader file(path);
  file.expect_magic(0x00000801, "labels");
  const std::uint64_t count = file.read_u32("label count");
  data.labels = file.read_rest(count, std::to_string(count) + " labels");
  const auto bad = std::ranges::find_if(data.labels, [](auto label) { return label >= classes; });
  if (bad != data.labels.end()) {
    fail(path, "expected labels from 0 to ", classes - 1, ", found ", int{*bad}, " at position ",
         bad - data.labels.begin());
  }
}

}  // namespace

Dataset load(const std::filesystem::path& directory, const std::string& prefix) {
  const auto images = find(directory, prefix + "-images-idx3-ubyte");
  const auto labels = find(directory, prefix + "-labels-idx1-ubyte");
  Dataset data;
  read_images(images, data);
  read_labels(labels, data);
  const std::size_t count = data.pixels.size() / data.image_size();
  if (count != data.labels.size()) {
    fail(labels, "expected ", count, " labels, one for each image of ", images.string(), ", found ",
         data.labels.size());
  }
  return data;
}

}  // namespace mnist
