// The plain sparse allgather: every rank gets every rank's positions and values.
#include <cstring>

#include <gtest/gtest.h>

#include "world.hpp"

namespace sparccl::test {
namespace {

/// Ascending, `entries` of `count`.
Positions some_positions(std::size_t count, std::size_t entries, std::mt19937_64& random) {
  Positions positions;
  for (std::size_t j = 0; j < count && positions.size() < entries; ++j) {
    if (random() % (count - j) < entries - positions.size()) positions.push_back(j);
  }
  return positions;
}

TEST(Allgather, MovesEveryType) {
  std::mt19937_64 random(901);
  for (int round = 0; round < 40; ++round) {
    const auto type = static_cast<DataType>(round % 10);
    const std::size_t width = size_of(type);
    const int ranks = 1 + static_cast<int>(random() % 9);
    const std::size_t count = 1 + random() % 200'000;
    const std::size_t capacity = 1 + random() % std::min<std::size_t>(count, 3'000);
    SCOPED_TRACE(testing::Message() << name_of(type) << " ranks " << ranks << " n " << count);
    std::vector<Positions> positions;
    std::vector<Bytes> values;
    const auto draw = [&] {
      positions.clear();
      values.clear();
      for (int r = 0; r < ranks; ++r) {
        const std::size_t sizes[] = {0, capacity, random() % (capacity + 1)};
        positions.push_back(some_positions(count, sizes[random() % 3], random));
        values.emplace_back(positions.back().size() * width);
        for (std::byte& b : values.back()) b = std::byte(random() & 0xff);
      }
    };
    std::vector<Communicator> communicators = Communicator::local(ranks);
    std::vector<SparseAllgather> gathers;
    for (const Communicator& c : communicators)
      gathers.emplace_back(c, "rows", count, type, capacity);
    for (int t = 0; t < 3; ++t) {
      draw();
      on_each(communicators, [&](Communicator& communicator) {
        const auto own = static_cast<std::size_t>(communicator.rank());
        SparseAllgather& gather = gathers[own];
        gather(positions[own], values[own].data());
        for (int r = 0; r < ranks; ++r) {
          const auto from = static_cast<std::size_t>(r);
          const auto seen = gather.positions(r);
          ASSERT_EQ(Positions(seen.begin(), seen.end()), positions[from]);
          const auto* bytes = static_cast<const std::byte*>(gather.values(r));
          ASSERT_EQ(Bytes(bytes, bytes + values[from].size()), values[from]);
        }
      });
    }
  }
}

/// Values are moved, not read: a NaN is as good as any.
TEST(Allgather, MovesValuesThatAreNotFinite) {
  on_local_ranks(2, [](Communicator& communicator) {
    SparseAllgather gather(communicator, "nan", 10, DataType::float32, 4);
    const std::uint64_t position = 9;
    const float value = std::numeric_limits<float>::quiet_NaN();
    gather({&position, 1}, &value);
    for (int r = 0; r < 2; ++r) EXPECT_EQ(std::memcmp(gather.values(r), &value, 4), 0);
  });
}

TEST(Allgather, RejectsBadLists) {
  std::vector<Communicator> one = Communicator::local(1);
  SparseAllgather gather(one[0], "rows", 100, DataType::float32, 3);
  const std::vector<float> values(10);
  const auto expect_rejected = [&](const Positions& positions, const void* data,
                                   std::vector<std::string> words) {
    words.insert(words.end(), {"rows", "expected", "found"});
    expect_error([&] { gather(positions, data); }, Result::invalid_argument, words);
  };
  expect_rejected({1, 2, 3, 4}, values.data(), {"3", "4"});
  expect_rejected({5, 5}, values.data(), {"ascending"});
  expect_rejected({5, 4}, values.data(), {"ascending"});
  expect_rejected({100}, values.data(), {"100"});
  expect_rejected({~std::uint64_t{0}}, values.data(), {"100"});
  expect_rejected({5}, nullptr, {"null"});
  for (const int rank : {-1, 1, 1'000}) {
    expect_error([&] { static_cast<void>(gather.positions(rank)); }, Result::invalid_argument,
                 {"rank"});
    expect_error([&] { static_cast<void>(gather.values(rank)); }, Result::invalid_argument,
                 {"rank"});
  }
  gather({}, nullptr);
  EXPECT_TRUE(gather.positions(0).empty());
  for (const std::size_t capacity : {std::size_t{0}, std::size_t{101}}) {
    expect_error([&] { SparseAllgather(one[0], "rows", 100, DataType::float32, capacity); },
                 Result::invalid_argument, {"rows", "expected", "found"});
  }
  expect_error([&] { SparseAllgather(one[0], "rows", 0, DataType::float32, 1); },
               Result::invalid_argument, {"rows", "expected", "found"});
  expect_error([&] { SparseAllgather(one[0], "rows", 10, static_cast<DataType>(55), 1); },
               Result::invalid_argument, {"expected", "found"});
}

TEST(Allgather, HasNothingBeforeTheFirstCall) {
  const std::vector<Communicator> one = Communicator::local(1);
  const SparseAllgather gather(one[0], "rows", 100, DataType::float32, 3);
  EXPECT_TRUE(gather.positions(0).empty());
}

}  // namespace
}  // namespace sparccl::test
