#include "cifar10.hpp"

#include <cstdint>
#include <fstream>
#include <string>

#include "data_error.hpp"

namespace mnist {
namespace {

constexpr std::size_t side = 32;
constexpr std::size_t planes = 3;
constexpr std::size_t plane_bytes = side * side;
constexpr std::size_t record_bytes = 1 + plane_bytes * planes;

/// Adds the images of one file.
void read(const std::filesystem::path& path, Dataset& data) {
  if (!std::filesystem::is_regular_file(path)) fail(path, "not found");
  std::ifstream file(path, std::ios::binary);
  const std::uintmax_t bytes = std::filesystem::file_size(path);
  if (bytes == 0 || bytes % record_bytes != 0) {
    fail(path, "truncated, or no file of CIFAR-10: expected a multiple of ", record_bytes,
         " bytes (a label and 32 x 32 pixels of 3 colours), found ", bytes);
  }
  for (std::uintmax_t i = 0; i < bytes / record_bytes; ++i) {
    char record[record_bytes];
    if (!file.read(record, record_bytes)) fail(path, "cannot be read");
    const auto label = static_cast<std::uint8_t>(record[0]);
    if (label >= classes) {
      fail(path, "expected labels from 0 to ", classes - 1, ", found ", int{label}, " at image ",
           i);
    }
    data.labels.push_back(label);
    for (std::size_t pixel = 0; pixel < plane_bytes; ++pixel) {
      for (std::size_t plane = 0; plane < planes; ++plane) {
        data.pixels.push_back(static_cast<std::uint8_t>(record[1 + plane * plane_bytes + pixel]));
      }
    }
  }
}

}  // namespace

Data load_cifar10(const std::filesystem::path& directory) {
  Data data;
  for (Dataset* const part : {&data.train, &data.test}) {
    part->rows = side;
    part->columns = side;
    part->channels = planes;
  }
  for (int batch = 1; batch <= 5; ++batch) {
    read(directory / ("data_batch_" + std::to_string(batch) + ".bin"), data.train);
  }
  read(directory / "test_batch.bin", data.test);
  return data;
}

}  // namespace mnist
