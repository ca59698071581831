// The formulas of docs/performance.md, and how sizes and rules of sparccl_perf are understood.
#include <gtest/gtest.h>

#include <initializer_list>
#include <string>
#include <vector>

#include "failures.hpp"
#include "figures.hpp"
#include "settings.hpp"
#include "settings_rules.hpp"

namespace sparccl::perf {
namespace {

Row row_of_four_ranks() {
  Row row;
  row.what.bytes = 100'000'000;
  row.ranks = 4;
  row.time.median = 0.01;
  row.wire_bytes = 450'000;
  row.stages = StageSeconds{.wait = 9,
                            .accumulate = 0.004,
                            .select = 0.001,
                            .pack = 0.0005,
                            .exchange = 9,
                            .merge = 0.0005};
  return row;
}

TEST(Figures, Bandwidths) {
  const Row row = row_of_four_ranks();
  EXPECT_DOUBLE_EQ(row.algbw(), 10);      // 100 MB in 10 ms
  EXPECT_DOUBLE_EQ(row.busbw(), 0.045);   // 450 kB
  EXPECT_DOUBLE_EQ(row.effective(), 15);  // 2 * 3/4 * 100 MB
}

TEST(Figures, BreakEvenIsWhereBothTakeTheSameTime) {
  const Row row = row_of_four_ranks();
  const double bytes_a_second = *row.break_even() * 1e9 / 8;
  const double compute = 0.004 + 0.001 + 0.0005 + 0.0005;
  EXPECT_DOUBLE_EQ(compute + 450'000 / bytes_a_second, 150'000'000 / bytes_a_second);
}

TEST(Figures, BreakEvenIsMissingWhereThereIsNone) {
  EXPECT_FALSE(break_even_bits(100, 100, 1).has_value());
  EXPECT_FALSE(break_even_bits(100, 200, 1).has_value());
  EXPECT_FALSE(break_even_bits(100, 50, 0).has_value());
  Row row = row_of_four_ranks();
  row.stages.reset();
  EXPECT_FALSE(row.break_even().has_value());
}

TEST(Figures, MediansAndPairs) {
  const Spread spread = spread_of({5, 1, 3, 2, 4});
  EXPECT_EQ(spread.median, 3);
  EXPECT_EQ(spread.min, 1);
  EXPECT_EQ(spread.max, 5);
  EXPECT_EQ(spread.p25, 2);
  EXPECT_EQ(spread.p75, 4);
  EXPECT_EQ(median_of({1, 2}), 1.5);
  EXPECT_EQ(paired_speedup({2, 40, 9}, {1, 10, 3}), 3);
}

std::optional<Settings> parsed(std::vector<const char*> words) {
  words.insert(words.begin(), "sparccl_perf");
  return parse(static_cast<int>(words.size()), words.data());
}

TEST(Settings, SizesStepAsInNcclTests) {
  using Sizes = std::vector<std::size_t>;
  EXPECT_EQ(parsed({})->sizes, (Sizes{32 << 20}));
  EXPECT_EQ(parsed({"-b", "8", "-e", "1K", "-f", "4"})->sizes, (Sizes{8, 32, 128, 512}));
  EXPECT_EQ(parsed({"-b", "1M", "-e", "3M"})->sizes, (Sizes{1 << 20, 2 << 20, 3 << 20}));
  EXPECT_EQ(parsed({"-b", "1K", "-e", "2K", "-i", "512"})->sizes, (Sizes{1024, 1536, 2048}));
  EXPECT_EQ(parsed({"-e", "64M"})->sizes.size(), 33u);
  EXPECT_EQ(parsed({"-b", "2G"})->sizes, (Sizes{std::size_t{2} << 30}));
  EXPECT_EQ(parsed({"-b", "1T"})->sizes, (Sizes{std::size_t{1} << 40}));
  EXPECT_EQ(parsed({"-e", "1K"})->sizes, (Sizes{1024}));
}

TEST(Settings, PathsThatRanksForbid) {
  EXPECT_EQ(forbidden(Path::hierarchical, 8, 2, true), "");
  EXPECT_EQ(forbidden(Path::split, 8, 1, false), "");
  EXPECT_NE(forbidden(Path::hierarchical, 8, 1, false).find("found all 8 ranks on one"),
            std::string::npos);
  EXPECT_NE(forbidden(Path::hierarchical, 8, 8, true).find("each of 8 alone"), std::string::npos);
  EXPECT_NE(forbidden(Path::hierarchical, 5, 2, false).find("5 ranks on 2 nodes"),
            std::string::npos);
}

}  // namespace
}  // namespace sparccl::perf
