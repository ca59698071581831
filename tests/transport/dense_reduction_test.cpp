#include "dense.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <string>

#include "naive.hpp"

namespace sparccl::test {
namespace {

std::vector<const void*> pointers(const std::vector<Bytes>& ranks) {
  std::vector<const void*> sources;
  for (const Bytes& rank : ranks) sources.push_back(rank.data());
  return sources;
}

std::vector<Bytes> random_ranks(DataType type, int ranks, std::size_t count) {
  std::vector<Bytes> data;
  for (int r = 0; r < ranks; ++r) {
    data.push_back(random_entries(type, count, static_cast<std::uint64_t>(r) * 1000 + count));
  }
  return data;
}

std::string describe(DataType type, Reduction reduction, int ranks, std::size_t count) {
  return std::string(sparccl::name_of(type)) + " " + sparccl::name_of(reduction) + ", " +
         std::to_string(ranks) + " ranks, " + std::to_string(count) + " entries";
}

TEST(Dense, EqualsANaiveLoopBitForBit) {
  for (const DataType type : all_types) {
    for (const Reduction reduction : all_reductions) {
      for (const int ranks : {1, 2, 3, 8}) {
        for (const std::size_t count : {std::size_t{1}, std::size_t{511}, std::size_t{512},
                                        std::size_t{513}, std::size_t{2000}}) {
          const std::vector<Bytes> data = random_ranks(type, ranks, count);
          Bytes result(data[0].size());
          reduce(result.data(), pointers(data).data(), ranks, count, type, reduction);
          ASSERT_EQ(result, naive_reduce(data, type, reduction))
              << describe(type, reduction, ranks, count);
        }
      }
    }
  }
}

TEST(Dense, ResultMayBeAnySource) {
  for (const DataType type : all_types) {
    for (std::size_t target = 0; target < 3; ++target) {
      std::vector<Bytes> data = random_ranks(type, 3, 1500);
      const Bytes expected = naive_reduce(data, type, Reduction::sum);
      reduce(data[target].data(), pointers(data).data(), 3, 1500, type, Reduction::sum);
      ASSERT_EQ(data[target], expected) << sparccl::name_of(type) << ", into source " << target;
    }
  }
}

TEST(Dense, WritesNothingBesides) {
  std::vector<Bytes> data = random_ranks(DataType::int8, 2, 700);
  Bytes result(701, std::byte{0x5a});
  reduce(result.data(), pointers(data).data(), 2, 700, DataType::int8, Reduction::sum);
  EXPECT_EQ(result[700], std::byte{0x5a});
  reduce(nullptr, pointers(data).data(), 2, 0, DataType::int8, Reduction::sum);
}

template <class T>
std::vector<T> reduced(const std::vector<std::vector<T>>& ranks, DataType type,
                       Reduction reduction) {
  std::vector<const void*> sources;
  for (const auto& rank : ranks) sources.push_back(rank.data());
  std::vector<T> result(ranks[0].size());
  reduce(result.data(), sources.data(), static_cast<int>(ranks.size()), result.size(), type,
         reduction);
  return result;
}

TEST(Dense, AverageOfIntegersTruncatesTowardsZero) {
  using I = std::vector<std::int32_t>;
  EXPECT_EQ(reduced<std::int32_t>({{-3, 7, 1}, {0, 0, 0}}, DataType::int32, Reduction::avg),
            (I{-1, 3, 0}));
  // more ranks than an int8 can count
  const std::vector<std::vector<std::int8_t>> many(200, {1, 0});
  EXPECT_EQ(reduced(many, DataType::int8, Reduction::avg)[0],
            static_cast<std::int8_t>(static_cast<std::int8_t>(200) / 200));
}

TEST(Dense, SixteenBitFloatsAreRoundedOnce) {
  // 2048 + 1 + 1 in binary16 is 2048 if each sum is rounded, and 2050 if only the last is.
  const auto half = [](double x) {
    std::vector<std::uint16_t> entry(1);
    store(DataType::float16, entry.data(), 0, x);
    return entry;
  };
  EXPECT_EQ(
      reduced<std::uint16_t>({half(2048), half(1), half(1)}, DataType::float16, Reduction::sum),
      half(2050));
  // and the sum of an average may be beyond the largest value
  EXPECT_EQ(reduced<std::uint16_t>({half(60000), half(60000)}, DataType::float16, Reduction::avg),
            half(60000));
}

TEST(Dense, MaximumAndMinimumKeepANan) {
  const float nan = std::numeric_limits<float>::quiet_NaN();
  for (const Reduction reduction : {Reduction::max, Reduction::min}) {
    for (const auto& ranks :
         {std::vector<std::vector<float>>{{nan}, {1}, {2}}, {{1}, {nan}, {2}}, {{1}, {2}, {nan}}}) {
      EXPECT_TRUE(std::isnan(reduced<float>(ranks, DataType::float32, reduction)[0]));
    }
  }
}

TEST(Dense, DivideIsTheSecondHalfOfAnAverage) {
  for (const DataType type : all_types) {
    if (size_of(type) == 2) continue;  // those round in between
    const std::vector<Bytes> data = random_ranks(type, 3, 600);
    Bytes sum(data[0].size());
    reduce(sum.data(), pointers(data).data(), 3, 600, type, Reduction::sum);
    divide(sum.data(), 3, 600, type);
    EXPECT_EQ(sum, naive_reduce(data, type, Reduction::avg)) << sparccl::name_of(type);
  }
}

TEST(Dense, RejectsWhatIsNoTypeAndNoReduction) {
  float x = 1;
  const void* source = &x;
  const auto code = [&](int type, int reduction) {
    try {
      reduce(&x, &source, 1, 1, static_cast<DataType>(type), static_cast<Reduction>(reduction));
    } catch (const Error& error) {
      return error.code();
    }
    return Result::success;
  };
  EXPECT_EQ(code(10, 0), Result::invalid_argument);
  EXPECT_EQ(code(-1, 0), Result::invalid_argument);
  EXPECT_EQ(code(7, 5), Result::invalid_argument);
  EXPECT_EQ(code(7, 0), Result::success);
}

}  // namespace
}  // namespace sparccl::test
