// Probes on real communicators: of hosts, of devices behind hosts, or of NCCL, by what is linked.
#include <gtest/gtest.h>

#include <chrono>
#include <cmath>
#include <mutex>
#include <thread>

#include "calibration.hpp"
#include "probe_clock.hpp"
#include "ranks.hpp"
#include "world.hpp"

namespace sparccl::test {
namespace {

void expect_usable(const Costs& costs, int ranks) {
  // A time that is what two measured times differ by may be none on a busy machine.
  ASSERT_GE(costs.stages.pass.points.size(), 1u);
  ASSERT_EQ(costs.stages.pass.points.size(), costs.stages.result.points.size());
  EXPECT_GT(costs.stages.pass.points.back().seconds + costs.stages.result.points.back().seconds, 0);
  ASSERT_GE(costs.stages.selected.points.size(), 1u);
  ASSERT_EQ(costs.stages.selected.points.size(), costs.stages.merged.points.size());
  EXPECT_GE(costs.stages.split, costs.stages.merged.points.front().seconds);
  EXPECT_GT(costs.network.latency, 0);
  EXPECT_GE(costs.network.seconds_per_byte, 0);
  ASSERT_GE(costs.dense.curve.points.size(), 4u);
  EXPECT_GT(costs.dense.curve.points.back().seconds, 0);
  EXPECT_EQ(costs.dense.ranks, ranks);
  EXPECT_EQ(costs.machine.world_size, ranks);
  const Workload w{.count = 1'000'000, .k = 1000, .world_size = ranks};
  const Predictions p = predict(costs, w);
  for (const Path path : {Path::dense, Path::allgather, Path::split}) {
    EXPECT_TRUE(std::isfinite(p.of(path)->seconds()) && p.of(path)->seconds() > 0) << name_of(path);
  }
}

TEST(Probe, EveryRankGetsTheSameFiguresInBoundedTime) {
  constexpr int ranks = 2;
  std::vector<Communicator> communicators = make_ranks(ranks);
  std::vector<std::string> told(ranks);
  const auto start = std::chrono::steady_clock::now();
  on_each(communicators, [&](Communicator& communicator) {
    const std::optional<Costs>& costs = communicator.impl()->costs(nullptr);
    ASSERT_TRUE(costs);
    expect_usable(*costs, ranks);
    told[static_cast<std::size_t>(communicator.rank())] = text_of(*costs);
    EXPECT_EQ(&communicator.impl()->costs(nullptr), &costs) << "probed twice";
  });
  EXPECT_EQ(told[0], told[1]);
  // About a second on hosts; other tests and sanitizers may slow it down.
  EXPECT_LT(std::chrono::steady_clock::now() - start, std::chrono::seconds(60));
}

/// One call that something else made longer is not what is told of calls that take 10 ms.
TEST(Probe, CallsAreRepeatedUnlessTheyTakeLongOnAnyRank) {
  std::vector<Communicator> communicators = make_ranks(2);
  on_each(communicators, [&](Communicator& communicator) {
    using std::chrono::milliseconds;
    ProbeClock clock(*communicator.impl(), nullptr);
    const auto calls_of = [&](milliseconds on_rank_1) {
      int calls = 0;
      static_cast<void>(clock.typical([&] {
        ++calls;
        if (communicator.rank() == 1) std::this_thread::sleep_for(on_rank_1);
      }));
      return calls;
    };
    EXPECT_EQ(calls_of(milliseconds(10)), 5);
    EXPECT_EQ(calls_of(milliseconds(300)), 2);
  });
}

TEST(Probe, RanksThatMeasureDifferentlyAgreeOnTheSlowest) {
  std::vector<Communicator> communicators = make_ranks(3);
  on_each(communicators, [&](Communicator& communicator) {
    ProbeClock clock(*communicator.impl(), nullptr);
    double figures[] = {1.0 * communicator.rank(), -1.0 * communicator.rank(), 5};
    clock.slowest(figures);
    EXPECT_EQ(figures[0], 2);
    EXPECT_EQ(figures[1], 0);
    EXPECT_EQ(figures[2], 5);
    EXPECT_EQ(clock.gather(communicator.rank() * 0.5), (std::vector<double>{0, 0.5, 1}));
  });
}

TEST(Probe, LeavesTheCommunicatorUsable) {
  Shape shape;
  shape.count = 1000;
  shape.k = 10;
  shape.ranks = 2;
  World world(shape);
  on_each(world.communicators(),
          [&](Communicator& communicator) { EXPECT_TRUE(communicator.impl()->costs(nullptr)); });
  std::mt19937_64 random(1);
  EXPECT_EQ(world.step(random_gradients(shape, random)).size(), 2u);
}

}  // namespace
}  // namespace sparccl::test
