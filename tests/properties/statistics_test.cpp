// stats(): what was sent, and what is held.
#include <gtest/gtest.h>

#include <chrono>
#include <memory>

#include "observation.hpp"
#include "sparse_allreduce.hpp"
#include "wire.hpp"
#include "world.hpp"

namespace sparccl::test {
namespace {

/// Also of a tensor that there is room for: what is let through has to be selected from.
TEST(Stats, FewOfASmallTensorAreCandidates) {
  const Shape shape{.ranks = 1, .count = 16'384, .k = 16};
  World world(shape);
  static_cast<void>(world.step({make_data(Pattern::gaussian, shape.count, shape.type, 5)}));
  EXPECT_GE(world.tensor(0).stats().last_candidates, shape.k);
  EXPECT_LT(world.tensor(0).stats().last_candidates, shape.count / 8);
}

TEST(Stats, CountWhatWasSent) {
  const Shape shape{.ranks = 4, .count = 100'000, .k = 100, .wire = DataType::bfloat16, .mu = 2};
  World world(shape);
  std::mt19937_64 random(1001);
  constexpr std::uint64_t steps = 3;
  for (std::uint64_t t = 0; t < steps; ++t) {
    std::vector<Vector> g;
    for (int r = 0; r < 4; ++r) {
      g.push_back(make_data(Pattern::gaussian, shape.count, shape.type, random()));
    }
    static_cast<void>(world.step(g));
  }
  std::vector<Vector> bad(4, Vector(shape.count, 1.0));
  bad[0][0] = std::numeric_limits<double>::infinity();
  static_cast<void>(world.step(bad));
  for (int r = 0; r < 4; ++r) {
    const Stats stats = world.tensor(r).stats();
    EXPECT_EQ(stats.steps, steps + 1);
    EXPECT_EQ(stats.non_finite_steps, 1u);
    // On the last step rank 0 sent nothing; the others could not know.
    EXPECT_EQ(stats.entries, shape.k * (r == 0 ? steps : steps + 1));
    EXPECT_EQ(stats.last_entries, r == 0 ? 0u : shape.k);
    EXPECT_GE(stats.candidates, shape.k * steps);
    EXPECT_LE(stats.candidates, shape.count * (steps + 1));
    EXPECT_EQ(stats.fallbacks, 0u);
    EXPECT_EQ(stats.packet_bytes, wire::layout(world.tensor(r).impl().plan()).bytes);
    EXPECT_EQ(stats.wire_bytes, (steps + 1) * 3 * stats.packet_bytes);
    EXPECT_EQ(stats.dense_bytes, (steps + 1) * 2 * 3 * 100'000 * 4 / 4);
    // 128 bytes of header, a table, and 2 + 2 bytes an entry.
    EXPECT_GE(stats.packet_bytes, 128 + 8 + shape.k * 4);
    EXPECT_LE(stats.packet_bytes, 128 + 8 + shape.k * 4 + 128);
    EXPECT_GT(stats.seconds.total(), 0.0);
    EXPECT_GE(stats.seconds.total(), stats.last_seconds.total());
    for (const double s : {stats.seconds.wait, stats.seconds.accumulate, stats.seconds.select,
                           stats.seconds.pack, stats.seconds.exchange, stats.seconds.merge}) {
      EXPECT_GE(s, 0.0);
    }
  }
}

TEST(Stats, DenseBytesOfATensorThatRanksDoNotDivide) {
  const Shape shape{.ranks = 7, .count = 1, .k = 1};
  World world(shape);
  static_cast<void>(world.step(std::vector<Vector>(7, Vector(1, 1.0))));
  // 2 x 6/7 x 4 bytes = 6.86: between rounding down and up.
  EXPECT_GE(world.tensor(0).stats().dense_bytes, 6u);
  EXPECT_LE(world.tensor(0).stats().dense_bytes, 7u);
}

/// The promise: 4 bytes an entry for the residual (8 for float64), and at most half a byte an entry
/// besides, at density 0.1 %.
TEST(Memory, IsWithinItsBounds) {
  for (const std::size_t count : {std::size_t{1'000'000}, std::size_t{5'000'000}}) {
    for (const DataType type : {DataType::float32, DataType::float16, DataType::bfloat16}) {
      World world({.ranks = 4, .count = count, .type = type, .wire = type}, {.density = 0.001});
      const Stats stats = world.tensor(0).stats();
      EXPECT_EQ(stats.residual_bytes, 4 * count);
      EXPECT_LE(stats.workspace_bytes, count / 2) << count << " " << name_of(type);
      EXPECT_GT(stats.workspace_bytes, 4 * stats.packet_bytes);
    }
  }
  World wide({.ranks = 1, .count = 1'000, .type = DataType::float64}, {.density = 0.001});
  EXPECT_EQ(wide.tensor(0).stats().residual_bytes, 8'000u);
}

TEST(Stats, ListenersHearOfEachStage) {
  World world({.ranks = 2, .count = 1'000, .k = 10});
  std::vector<StageTimes> heard;
  world.tensor(0).impl().measure_stages([&](const StageTimes& times) { heard.push_back(times); });
  for (std::size_t t = 0; t < 3; ++t) {
    static_cast<void>(world.step(std::vector<Vector>(2, Vector(1'000, 1.0))));
    ASSERT_EQ(heard.size(), t + 1);
    EXPECT_EQ(heard[t].call, t);
    ASSERT_EQ(heard[t].size, stage_count);
    EXPECT_EQ(heard[t].seconds().total(), world.tensor(0).stats().last_seconds.total());
    for (std::size_t stage = 1; stage < stage_count; ++stage) {
      EXPECT_EQ(heard[t].spans[stage].begin, heard[t].spans[stage - 1].end);
    }
    if (t == 0) continue;
    EXPECT_GE(heard[t].spans[0].begin, heard[t - 1].spans[stage_count - 1].end);
  }
}

/// Of short calls one in 16 is timed: a long one among the others counts with all that it took.
TEST(Stats, ACallWhoseStagesAreNotTimedCountsWhole) {
  using std::chrono::microseconds;
  const std::unique_ptr<StageClock> clock = make_stop_watch(false);
  const auto call = [&](microseconds took) {
    clock->begin(nullptr);
    clock->lap(Stage::wait);
    const auto end = std::chrono::steady_clock::now() + took;
    while (std::chrono::steady_clock::now() < end) {
    }
    clock->lap(Stage::exchange);
    clock->end();
    return clock->next()->seconds().total();
  };
  for (int i = 0; i < 3; ++i) static_cast<void>(call(microseconds(4)));
  EXPECT_GE(call(microseconds(5'000)), 4e-3);  // what ends a call is none of its stages' time
}

/// A fallback is counted, and does not change the outcome.
TEST(Stats, CountFallbacks) {
  const Shape shape{.count = 300'000, .k = 2'000};
  World world(shape);
  std::mt19937_64 random(1002);
  std::uint64_t fallbacks = 0;
  Oracle oracle(shape);
  for (std::uint64_t t = 0; t < 20; ++t) {
    // Few large values in an otherwise flat tensor, now and then in the sampled lines.
    Vector g(shape.count, 0.0);
    for (int i = 0; i < 150; ++i) {
      const std::size_t begin = random() % (shape.count / 16) * 16;
      for (std::size_t j = 0; j < 12; ++j) g[begin + j] = 1.0 + static_cast<double>(random() % 7);
    }
    const auto results = world.step({g});
    const auto outcome = oracle.step({&g, 1});
    ASSERT_EQ(results[0], to_bytes(shape.type, outcome.result));
    fallbacks = world.tensor(0).stats().fallbacks;
  }
  EXPECT_LE(fallbacks, 20u);
}

}  // namespace
}  // namespace sparccl::test
