// Where the ranges of Path::split begin after they were balanced.
#include <random>

#include <gtest/gtest.h>

#include "balance.hpp"
#include "split_plan.hpp"

namespace sparccl {
namespace {

using Words = std::vector<std::uint64_t>;

Words balanced(Words bounds, Words demand, std::uint64_t longest) {
  Words next(bounds.size());
  balance(bounds.data(), demand.data(), next.data(), int(demand.size()), longest);
  return bounds;
}

/// Ranges of `bounds` hold what `density` promises for each entry of the old ones.
Words entries_in(const Words& bounds, const std::vector<double>& density) {
  Words entries(bounds.size() - 1);
  for (std::size_t r = 0; r + 1 < bounds.size(); ++r) {
    double sum = 0;
    for (std::uint64_t i = bounds[r]; i < bounds[r + 1]; ++i) sum += density[i];
    entries[r] = static_cast<std::uint64_t>(sum + 0.5);
  }
  return entries;
}

TEST(Balance, CoversTheTensorWithRangesThatFit) {
  std::mt19937_64 random(3);
  for (int round = 0; round < 3'000; ++round) {
    const std::size_t ranks = 1 + random() % 9;
    const std::uint64_t count = 1 + random() % (round % 2 == 0 ? 20 : 1'000'000);
    const std::uint64_t equal = (count + ranks - 1) / ranks;
    const std::uint64_t longest = std::min<std::uint64_t>(count, 4 * equal);
    Words bounds(ranks + 1);
    for (std::size_t r = 0; r <= ranks; ++r) bounds[r] = std::min(count, r * equal);
    for (int again = 0; again < 4; ++again) {
      Words demand(ranks);
      for (auto& d : demand) d = random() % 3 == 0 ? 0 : random() >> (random() % 64);
      for (auto& d : demand) d /= 2 * ranks;
      bounds = balanced(bounds, demand, longest);
      ASSERT_EQ(bounds.front(), 0u);
      ASSERT_EQ(bounds.back(), count);
      for (std::size_t r = 0; r < ranks; ++r) {
        ASSERT_LE(bounds[r], bounds[r + 1]);
        ASSERT_LE(bounds[r + 1] - bounds[r], longest);
      }
    }
  }
}

TEST(Balance, GivesEachRangeAsMuch) {
  const Words bounds{0, 1'000, 2'000, 3'000, 4'000};
  std::vector<double> density(4'000, 0.1);
  for (std::size_t i = 1'000; i < 2'000; ++i) density[i] = 0.9;
  const Words after = balanced(bounds, entries_in(bounds, density), 4'000);
  for (const std::uint64_t entries : entries_in(after, density))
    EXPECT_NEAR(double(entries), 300, 2);
}

TEST(Balance, KeepsTheBoundsWhereNothingWasWanted) {
  const Words bounds{0, 10, 20, 30};
  EXPECT_EQ(balanced(bounds, {0, 0, 0}, 20), bounds);
}

TEST(SplitPlan, SendsFewEntriesWhateverTheNumberOfRanks) {
  for (const int ranks : {2, 8, 64, 512}) {
    Plan plan;
    plan.count = 25'000'000;
    plan.k = 25'000;
    plan.world_size = ranks;
    const SplitPlan split = make_split_plan(plan);
    const auto world = static_cast<std::size_t>(ranks);
    EXPECT_LE(world * split.sent.k, plan.k + plan.k / 2 + 5 * world);
    EXPECT_LE(world * split.reduced.k, 2 * plan.k + plan.k / 2 + 5 * world);
    EXPECT_GE(world * split.sent.count, plan.count);
  }
}

}  // namespace
}  // namespace sparccl
