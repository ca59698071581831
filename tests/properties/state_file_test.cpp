// State files that are damaged, foreign or forged: Result::bad_state, what was expected and what
// was found, and a state that is as before.
#include <cstring>
#include <filesystem>
#include <fstream>

#define XXH_INLINE_ALL
#include <gtest/gtest.h>
#include <xxhash.h>

#include "world.hpp"

namespace sparccl::test {
namespace {

const Shape shape{.ranks = 2, .count = 70'000, .k = 300, .mu = 2};

class StateFile : public testing::Test {
 protected:
  StateFile() : world_(shape) {
    const auto* test = testing::UnitTest::GetInstance()->current_test_info();
    path_ = std::filesystem::path(testing::TempDir()) /
            (std::string("sparccl_state_") + test->name() + "_" + std::to_string(getpid()));
    std::mt19937_64 random(501);
    for (int t = 0; t < 2; ++t) static_cast<void>(world_.step(random_gradients(shape, random)));
    world_.tensor(0).save(path_);
    good_ = read();
    static_cast<void>(world_.step(random_gradients(shape, random)));
    before_ = state_of(world_.tensor(0));
  }
  ~StateFile() override { std::filesystem::remove(path_); }

  [[nodiscard]] std::string read() const {
    std::ifstream file(path_, std::ios::binary);
    return {std::istreambuf_iterator<char>(file), {}};
  }
  void write(const std::string& bytes) const { std::ofstream(path_, std::ios::binary) << bytes; }

  /// A forger knows the format: the checksum is right.
  [[nodiscard]] static std::string with_checksum(std::string bytes) {
    const std::uint64_t sum = XXH3_64bits(bytes.data(), bytes.size() - sizeof(sum));
    std::memcpy(bytes.data() + bytes.size() - sizeof(sum), &sum, sizeof(sum));
    return bytes;
  }

  void expect_refused(const std::string& bytes, const std::string& what,
                      const std::vector<std::string>& words = {}) {
    SCOPED_TRACE(what);
    write(bytes);
    std::vector<std::string> all = {"expected", "found"};
    all.insert(all.end(), words.begin(), words.end());
    expect_error([&] { world_.tensor(0).load(path_); }, Result::bad_state, all);
    EXPECT_EQ(state_of(world_.tensor(0)), before_);
  }

  /// A tensor that is not the one that was saved.
  void expect_foreign(SparseAllreduce& other, const std::vector<std::string>& words) {
    const Bytes state = state_of(other);
    expect_error([&] { other.load(path_); }, Result::bad_state, words);
    EXPECT_EQ(state_of(other), state);
  }

  World world_;
  std::filesystem::path path_;
  std::string good_;
  Bytes before_;
};

TEST_F(StateFile, IsTakenWhenItIsWhole) {
  ASSERT_EQ(with_checksum(good_), good_) << "the tests below forge checksums of this kind";
  world_.tensor(0).load(path_);
  EXPECT_NE(state_of(world_.tensor(0)), before_);
}

TEST_F(StateFile, TruncatedAnywhere) {
  const std::size_t size = good_.size();
  for (const std::size_t length :
       {std::size_t{0},  std::size_t{1},  std::size_t{7},  std::size_t{8},  std::size_t{55},
        std::size_t{56}, std::size_t{57}, std::size_t{63}, std::size_t{64}, std::size_t{65},
        std::size_t{71}, std::size_t{72}, std::size_t{66}, std::size_t{73}, std::size_t{74},
        std::size_t{80}, size / 4,        size / 2,        size - 2000,     size - 1300,
        size - 1200,     size - 9,        size - 8,        size - 7,        size - 1}) {
    expect_refused(good_.substr(0, length), "cut to " + std::to_string(length));
  }
  expect_refused(good_ + "x", "one byte too long");
  expect_refused(good_ + good_, "twice");
}

TEST_F(StateFile, CorruptedAnywhere) {
  std::mt19937_64 random(502);
  std::vector<std::size_t> places;
  for (std::size_t i = 0; i < 98; ++i) places.push_back(i);  // header and name, each byte
  for (std::size_t i = 1; i <= 40; ++i) places.push_back(good_.size() - i);
  for (int i = 0; i < 150; ++i) places.push_back(random() % good_.size());
  for (const std::size_t at : places) {
    std::string bad = good_;
    bad[at] = static_cast<char>(bad[at] ^ (1 << random() % 8));
    expect_refused(bad, "byte " + std::to_string(at));
    if (HasFailure()) return;
  }
}

TEST_F(StateFile, IsNoStateFile) {
  expect_refused("", "empty");
  expect_refused(std::string(good_.size(), '\0'), "zeros");
  expect_refused(
      "not a state file, but long enough to have a header of sixty-four bytes, and more"
      " than that",
      "text");
}

TEST_F(StateFile, IsNotThere) {
  std::filesystem::remove(path_);
  expect_error([&] { world_.tensor(0).load(path_); }, Result::bad_state, {"expected", "found"});
  expect_error([&] { world_.tensor(0).load(std::filesystem::temp_directory_path()); },
               Result::bad_state, {"expected", "found"});
  EXPECT_EQ(state_of(world_.tensor(0)), before_);
}

TEST_F(StateFile, OfAnotherTensorOrRank) {
  expect_foreign(world_.tensor(1), {"rank", "expected 1", "found 0"});
  World named(shape, options_of(shape), "fc2.weight");
  expect_foreign(named.tensor(0), {"fc2.weight", "fc1.weight"});
  Shape other = shape;
  other.count = 70'001;
  expect_foreign(World(other).tensor(0), {"count", "70001", "70000"});
  other = shape;
  other.type = DataType::float64;
  expect_foreign(World(other).tensor(0), {"type", "float64", "float32"});
  other = shape;
  other.type = other.wire = DataType::bfloat16;
  expect_foreign(World(other).tensor(0), {"type", "bfloat16", "float32"});
  other = shape;
  other.ranks = 3;
  expect_foreign(World(other).tensor(0), {"world size", "expected 3", "found 2"});
  other = shape;
  other.distortion = Distortion::current;
  expect_foreign(World(other).tensor(0), {"distortion", "expected", "found"});
}

/// The checksum is right and the content is not: nothing of a file is trusted.
TEST_F(StateFile, Forged) {
  const std::size_t name = std::string("fc1.weight").size();
  const std::size_t residual = 64 + name;
  const std::size_t table = residual + shape.count * sizeof(float);
  const std::size_t offsets = table + 2 * sizeof(std::uint32_t);
  const auto forge = [&](std::size_t at, auto value) {
    std::string bytes = good_;
    std::memcpy(bytes.data() + at, &value, sizeof(value));
    return with_checksum(bytes);
  };
  for (const float bad :
       {std::numeric_limits<float>::quiet_NaN(), -std::numeric_limits<float>::infinity()}) {
    expect_refused(forge(residual, bad), "a residual that is not finite", {"residual"});
    expect_refused(forge(table - sizeof(float), bad), "the last one", {"residual"});
  }
  for (const std::uint32_t in_block : {0u, 1u, 301u, 65'537u, ~0u}) {
    expect_refused(forge(table, in_block), "block table " + std::to_string(in_block), {"history"});
  }
  std::uint16_t first = 0;
  std::memcpy(&first, good_.data() + offsets, sizeof(first));
  expect_refused(forge(offsets + 2, first), "a position twice", {"history"});
  expect_refused(forge(offsets + 2 * 299, std::uint16_t{5'000}), "outside the last block",
                 {"history"});
  for (const std::uint64_t entries :
       {std::uint64_t{0}, std::uint64_t{299}, std::uint64_t{301}, std::uint64_t{70'001},
        ~std::uint64_t{0}, std::uint64_t{1} << 62}) {
    expect_refused(forge(32, entries), "entries " + std::to_string(entries));
  }
  for (const std::uint32_t bytes : {0u, 9u, 11u, 0x7fffffffu, ~0u}) {
    expect_refused(forge(12, bytes), "bytes of the name " + std::to_string(bytes));
  }
  expect_refused(forge(8, std::uint32_t{1}), "format version", {"version"});
  expect_refused(forge(56, std::uint16_t{5}), "path", {"path"});
  expect_refused(forge(58, std::uint16_t{2}), "at rest, but how", {"at rest"});
  expect_refused(forge(58, std::uint16_t{1}), "at rest on another path", {"at rest", "path dense"});
  expect_refused(forge(60, std::uint32_t{1}), "ranges", {"ranges"});
  expect_refused(forge(60, std::uint32_t{5}), "ranges that are not there", {"bytes"});
}

/// Ranges of Path::split: 2 bounds of 3 that do not move, 2 numbers of entries, the checksum.
TEST_F(StateFile, ForgedRanges) {
  Shape split = shape;
  split.path = Path::split;
  World world(split);
  world.tensor(0).save(path_);
  const std::string good = read();
  world.tensor(0).load(path_);
  const std::size_t ranges = good.size() - 6 * sizeof(std::uint64_t);
  const auto forge = [&](const std::vector<std::uint64_t>& numbers) {
    std::string bytes = good;
    std::memcpy(bytes.data() + ranges, numbers.data(), numbers.size() * sizeof(numbers[0]));
    write(with_checksum(bytes));
    expect_error([&] { world.tensor(0).load(path_); }, Result::bad_state, {"ranges", "expected"});
  };
  forge({0, 70'001, 70'000, 0, 0});
  forge({1, 35'000, 70'000, 0, 0});
  forge({0, 35'000, 69'999, 0, 0});
  forge({0, 35'000, 70'000, ~std::uint64_t{0}, 1});
}

}  // namespace
}  // namespace sparccl::test
