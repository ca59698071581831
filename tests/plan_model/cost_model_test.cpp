// What must hold of predictions, whatever the figures.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "costs.hpp"
#include "wire.hpp"

namespace sparccl::test {
namespace {

double seconds(const Predictions& predictions, Path path) {
  return predictions.of(path)->seconds();
}

TEST(Curve, GoesThroughItsPointsAndOnAlongTheLastSegment) {
  const Curve curve{{{10, 1}, {20, 2}, {40, 8}}};
  EXPECT_DOUBLE_EQ(curve.at(1), 1);
  EXPECT_DOUBLE_EQ(curve.at(10), 1);
  EXPECT_DOUBLE_EQ(curve.at(15), 1.5);
  EXPECT_DOUBLE_EQ(curve.at(30), 5);
  EXPECT_DOUBLE_EQ(curve.at(60), 14);
  const Curve disturbed{{{10, 1}, {20, 9}, {40, 7}}};  // the second in a bad moment
  EXPECT_DOUBLE_EQ(disturbed.at(70), 7 + 30 * 0.2);
  EXPECT_DOUBLE_EQ((Curve{{{10, 2}}}).at(30), 6);
  EXPECT_DOUBLE_EQ(Curve{}.at(30), 0);
}

TEST(CostModel, BytesOfAnAllgatherAreThoseOfThePackets) {
  std::mt19937_64 random(1);
  for (int i = 0; i < 200; ++i) {
    const Workload w = random_workload(random);
    const double entries = static_cast<double>(w.k) * (2.0 + static_cast<double>(size_of(w.wire)));
    const double tables = 4 * std::ceil(static_cast<double>(w.count) / block_size);
    const double bytes = allgather_bytes(w);
    EXPECT_GE(bytes, 128 + tables + entries);
    EXPECT_LE(bytes, 128 + tables + entries + 64 + 14) << "more than alignment adds";
    Plan plan;
    plan.count = w.count;
    plan.k = w.k;
    plan.world_size = w.world_size;
    plan.type = w.type;
    plan.wire = w.wire;
    EXPECT_EQ(bytes, static_cast<double>(wire::layout(plan).bytes));
    EXPECT_EQ(predict(imagined_costs(), w).of(Path::allgather)->bytes, (w.world_size - 1) * bytes);
  }
}

/// n = 1,000,000 and k = 1,000 on 8 ranks: ranges of 125,000, slots for 500,000 positions.
TEST(CostModel, BytesOfASplitAreThoseOfItsSlots) {
  Workload w{.count = 1'000'000, .k = 1000, .world_size = 8};
  EXPECT_EQ(split_bytes(w).sent, (40 + 4 * 8 + 6 * (188 + 4) + 15) / 16 * 16);
  EXPECT_EQ(split_bytes(w).reduced, (40 + 4 * 8 + 6 * (313 + 4) + 2 + 15) / 16 * 16);
  w.k = 700'000;  // everything has room: slots are ranges
  EXPECT_EQ(split_bytes(w).sent, (40 + 4 * 2 + 6 * 125'000 + 15) / 16 * 16);
}

TEST(CostModel, ASplitSendsTheSameWhateverTheNumberOfRanks) {
  for (const int ranks : {4, 64, 1024}) {
    const Workload w{.count = 25'000'000, .k = 250'000, .world_size = ranks};
    const double entries = predict(imagined_costs(), w).of(Path::split)->bytes / 6;
    EXPECT_LT(entries, 6.0 * 250'000) << ranks;
  }
}

TEST(CostModel, MoreBandwidthAndFewerEntriesNeverTakeLonger) {
  std::mt19937_64 random(2);
  for (int i = 0; i < 300; ++i) {
    const Workload w = random_workload(random);
    Workload fewer = w;
    fewer.k = std::max<std::size_t>(1, w.k / 2);
    const Costs costs = imagined_costs();
    const Predictions slow = predict(costs, w);
    const Predictions fast = predict(at_bandwidth(costs, 1e9), w);
    const Predictions light = predict(costs, fewer);
    for (const Path path : paths) {
      if (!slow.of(path)) continue;
      EXPECT_LE(seconds(fast, path), seconds(slow, path)) << name_of(path);
      // Half the entries of a density of 2/3 and above change the ranges of a split.
      if (path != Path::split || 3 * w.k < w.count) {
        EXPECT_LE(seconds(light, path), seconds(slow, path)) << name_of(path);
      }
    }
  }
}

TEST(CostModel, HierarchyTakesNodesOfSeveralRanks) {
  Workload w{.count = 1'000'000, .k = 1000, .world_size = 8};
  for (const int each : {0, 1, 3, 8}) {
    w.ranks_per_node = each;
    EXPECT_FALSE(predict(imagined_costs(), w).of(Path::hierarchical)) << each;
  }
  w.ranks_per_node = 4;
  EXPECT_TRUE(predict(imagined_costs(), w).of(Path::hierarchical));
}

TEST(CostModel, TimesCrossAtTheBreakEvenBandwidth) {
  std::mt19937_64 random(3);
  int found = 0;
  for (int i = 0; i < 300; ++i) {
    const Workload w = random_workload(random);
    const Costs costs = imagined_costs();
    const BreakEven even = break_even_bandwidth(costs, w);
    if (even.kind != BreakEven::Kind::at) continue;
    ++found;
    const auto advantage = [&](double bytes_per_second) {
      const Predictions p = predict(at_bandwidth(costs, bytes_per_second), w);
      return seconds(p, Path::dense) - seconds(p, p.best_sparse());
    };
    EXPECT_GT(advantage(even.value / 1.01), 0);
    EXPECT_LT(advantage(even.value * 1.01), 0);
  }
  EXPECT_GT(found, 20);
}

TEST(CostModel, TimesCrossAtTheBreakEvenDensity) {
  Workload w{.count = 25'000'000, .k = 25'000, .world_size = 4};
  const Costs costs = imagined_costs();
  const BreakEven even = break_even_density(costs, w);
  ASSERT_EQ(even.kind, BreakEven::Kind::at);
  for (const double factor : {0.99, 1.01}) {
    w.k = static_cast<std::size_t>(factor * even.value * static_cast<double>(w.count));
    const Predictions p = predict(costs, w);
    EXPECT_EQ(seconds(p, p.best_sparse()) < seconds(p, Path::dense), factor < 1) << factor;
  }
}

TEST(CostModel, AMeasuredDenseAllreduceCountsAndFollowsTheBandwidth) {
  Costs costs = imagined_costs(1e9);
  costs.dense = {{{{1000, 1e-3}, {1'000'000, 4e-3}}}, 4, 1e-9, costs.network.latency};
  const Workload w{.count = 250'000, .k = 250, .world_size = 4};
  const double meet = 2 * costs.network.latency;
  EXPECT_NEAR(seconds(predict(costs, w), Path::dense), 4e-3 + meet, 1e-12);
  // Bytes and copies overlap: what was measured is the root of the sum of their squares.
  const double fixed = 1e-3;
  const double bytes = dense_bytes(w);
  const double measured = (4e-3 - fixed) / bytes;
  const double copies = std::sqrt(measured * measured - 1e-18);
  EXPECT_NEAR(seconds(predict(at_bandwidth(costs, 5e8), w), Path::dense),
              fixed + bytes * std::hypot(2e-9, copies) + meet, 1e-12);
  EXPECT_NEAR(seconds(predict(at_bandwidth(costs, 1e15), w), Path::dense),
              fixed + bytes * copies + meet, 1e-9);
}

/// Two rounds of messages there and two back.
TEST(CostModel, AMeasuredDenseAllreduceFollowsTheLatency) {
  Costs costs = imagined_costs(1e9);
  costs.dense = {{{{1000, 1e-3}, {1'000'000, 4e-3}}}, 4, 1e-9, costs.network.latency};
  const Workload w{.count = 250'000, .k = 250, .world_size = 4};
  const double before = seconds(predict(costs, w), Path::dense);
  costs.network.latency += 1e-4;
  EXPECT_NEAR(seconds(predict(costs, w), Path::dense), before + 6 * 1e-4, 1e-12);
}

/// Twice as slow as the formula by four ranks: so it is by eight.
TEST(CostModel, AMeasuredDenseAllreduceIsScaledToOtherRanks) {
  Costs costs = imagined_costs(1e9);
  Workload w{.count = 250'000, .k = 250, .world_size = 4};
  Workload more = w;
  more.world_size = 8;
  const double ideal = seconds(predict(costs, w), Path::dense);
  const double ideal_of_more = seconds(predict(costs, more), Path::dense);
  const double meet = 2 * costs.network.latency;
  costs.dense = {{{{1000, 1e-9}, {1'000'000, 2 * ideal - meet}}}, 4, 1e-9, costs.network.latency};
  ASSERT_NEAR(seconds(predict(costs, w), Path::dense), 2 * ideal, 1e-12);
  EXPECT_NEAR(seconds(predict(costs, more), Path::dense), 2 * ideal_of_more, 1e-12);
}

/// On many ranks an allgather of nearly everything sends more bytes than dense, in fewer messages.
TEST(CostModel, MoreBytesInFewerMessagesWinAboveABandwidth) {
  Costs costs = imagined_costs();
  const Workload w{.count = 2'000, .k = 1'500, .world_size = 4, .split = false};
  const BreakEven even = break_even_bandwidth(costs, w);
  ASSERT_EQ(even.kind, BreakEven::Kind::above);
  for (const double factor : {0.99, 1.01}) {
    const Predictions p = predict(at_bandwidth(costs, factor * even.value), w);
    EXPECT_EQ(seconds(p, Path::allgather) < seconds(p, Path::dense), factor > 1) << factor;
  }
}

TEST(CostModel, ChoosesTheFastestAndSaysWhy) {
  const Workload w{.count = 25'000'000, .k = 25'000, .world_size = 4};
  const Choice choice = choose(imagined_costs(), w);
  const Predictions p = predict(imagined_costs(), w);
  EXPECT_EQ(choice.path, p.best_sparse());
  EXPECT_EQ(choice.reason.rfind(name_of(choice.path), 0), 0u) << choice.reason;
  EXPECT_NE(choice.reason.find(" predicted, against "), std::string::npos) << choice.reason;
  EXPECT_NE(choice.reason.find(" dense"), std::string::npos) << choice.reason;
}

/// "Never slower than dense" leaves no room for a prediction that is off by some percent.
TEST(CostModel, TakesDenseUnlessASparsePathSavesATenth) {
  const auto choice_at = [](double dense, double sparse) {
    Predictions p;
    p.all[0] = Prediction{.transfer = dense};
    p.all[1] = Prediction{.transfer = sparse};
    return choose(p).path;
  };
  EXPECT_EQ(choice_at(1.0, 0.89), Path::allgather);
  EXPECT_EQ(choice_at(1.0, 0.95), Path::dense);
  EXPECT_EQ(choice_at(1.0, 2.0), Path::dense);
}

TEST(CostModel, OneRankTakesTheDensePath) {
  const Workload w{.count = 1'000'000, .k = 1000, .world_size = 1};
  EXPECT_EQ(choose(imagined_costs(), w).path, Path::dense);
}

}  // namespace
}  // namespace sparccl::test
