// Whole runs over random shapes equal the oracle's, every rank has the same bits, and so has a
// second run of the same inputs.
#include <gtest/gtest.h>

#include "world.hpp"

namespace sparccl::test {
namespace {

class OracleRun : public testing::TestWithParam<int> {};

TEST_P(OracleRun, EqualsTheOracleOnEveryRank) {
  if (calls_are_slow() && schedule() % 8 != static_cast<std::uint64_t>(GetParam())) {
    GTEST_SKIP() << "another schedule's turn";
  }
  std::mt19937_64 random(1000 + static_cast<std::uint64_t>(GetParam()) + variation());
  std::size_t near_ties = 0;
  for (int round = 0; round < rounds(10); ++round) {
    const Shape shape = random_shape(random, 150'000);
    SCOPED_TRACE(describe(shape));
    constexpr double loss_scales[] = {1.0, 1024.0, 3.0, 0.5};
    const double loss_scale = loss_scales[random() % 4];
    Oracle oracle(shape);
    World world(shape);
    for (int t = 0; t < 5; ++t) {
      SCOPED_TRACE(testing::Message() << "step " << t);
      const auto gradients = random_gradients(shape, random);
      const auto results = world.step(gradients, loss_scale);
      const auto residuals = world.residuals();
      const Oracle::Outcome outcome = oracle.step(gradients, loss_scale, residuals);
      ASSERT_TRUE(outcome.finite);
      for (int r = 0; r < shape.ranks; ++r) {
        const auto rank = static_cast<std::size_t>(r);
        ASSERT_EQ(residuals[rank], oracle.residual(r)) << "rank " << r;
        ASSERT_EQ(results[rank], to_bytes(shape.type, outcome.result)) << "rank " << r;
        ASSERT_EQ(history_entries_of(world.tensor(r)), shape.k);
        ASSERT_EQ(world.tensor(r).stats().last_entries, shape.k);
      }
    }
    near_ties += oracle.near_ties();
  }
  EXPECT_LE(near_ties, 3u) << "the oracle has followed the implementation too often";
}

INSTANTIATE_TEST_SUITE_P(Seeds, OracleRun, testing::Range(0, 8));

/// Up to 64 ranks, which reduce in rank order whatever the order they arrive in.
TEST(SameBits, OnEveryRankAndInEveryRun) {
  std::mt19937_64 random(7 + variation());
  for (const int ranks : {2, 7, 16, 64}) {
    if (ranks == 64 && calls_are_slow() && schedule() != 2 && schedule() != 3) {
      continue;  // those have it
    }
    Shape shape{.ranks = ranks, .count = 3'000, .k = 700, .mu = 2};
    shape.type = shape.wire = floating_types[random() % 4];
    SCOPED_TRACE(describe(shape));
    std::vector<std::vector<Vector>> inputs;
    for (int t = 0; t < 4; ++t) inputs.push_back(random_gradients(shape, random));
    std::vector<Bytes> first;
    std::vector<std::vector<Bytes>> first_states;
    for (int run = 0; run < 3; ++run) {
      World world(shape);
      for (std::size_t t = 0; t < inputs.size(); ++t) {
        const auto results = world.step(inputs[t]);
        for (const Bytes& result : results) ASSERT_EQ(result, results[0]);
        if (run == 0) {
          first.push_back(results[0]);
          first_states.push_back(world.states());
        }
        ASSERT_EQ(results[0], first[t]) << "run " << run << " step " << t;
        ASSERT_EQ(world.states(), first_states[t]) << "run " << run << " step " << t;
      }
    }
  }
}

/// The result may be the gradient's own memory.
TEST(Aliasing, GivesTheSameBits) {
  std::mt19937_64 random(8 + variation());
  for (int round = 0; round < rounds(12); ++round) {
    const Shape shape = random_shape(random, 100'000);
    SCOPED_TRACE(describe(shape));
    World apart(shape), aliased(shape);
    for (int t = 0; t < 3; ++t) {
      const auto gradients = random_gradients(shape, random);
      const auto expected = apart.step(gradients);
      aliased.each([&](SparseAllreduce& tensor, int rank) {
        const Bytes gradient = to_bytes(shape.type, gradients[static_cast<std::size_t>(rank)]);
        EXPECT_EQ(run(tensor, gradient, 1.0, Where::in_place),
                  expected[static_cast<std::size_t>(rank)]);
      });
      ASSERT_EQ(aliased.states(), apart.states());
    }
  }
}

/// A gradient is read, never written, when the result is elsewhere.
TEST(Aliasing, LeavesTheGradientAlone) {
  const Shape shape{.ranks = 2, .count = 10'000, .k = 100, .mu = 2};
  World world(shape);
  world.each([&](SparseAllreduce& tensor, int rank) {
    static_cast<void>(run(  // which compares
        tensor, to_bytes(shape.type, make_data(Pattern::gaussian, shape.count, shape.type,
                                               std::uint64_t(rank)))));
  });
}

}  // namespace
}  // namespace sparccl::test
