// Options and values at the ends of their ranges.
#include <cmath>

#include <gtest/gtest.h>

#include "world.hpp"

namespace sparccl::test {
namespace {

/// A mu that is no float: 0/0 or Inf/Inf must not become a score. Entries that cancelled exactly
/// have r = 0 (d = 0 for any mu > 0), others d = 1 for a tiny mu and d = 0 for a huge one.
TEST(Extremes, MuBeyondTheFloats) {
  for (const auto& [mu, k] : {std::pair{1e-300, 10},
                              {1e-300, 30},
                              {1e-300, 39},
                              {1e-46, 20},
                              {1e-40, 30},
                              {1e30, 30},
                              {1e39, 10},
                              {1e300, 30},
                              {1e300, 39}}) {
    const Shape shape{.ranks = 2, .count = 40, .k = std::size_t(k), .mu = mu};
    SCOPED_TRACE(describe(shape));
    World world(shape);
    for (int t = 0; t < 4; ++t) {
      // The first half cancels, a quarter is zero (and then has an own value of 0), the rest adds
      // up.
      std::vector<Vector> g(2, Vector(40, 0.0));
      for (std::size_t i = 0; i < 30; ++i) {
        g[0][i] = 1.0 + static_cast<double>(i % 7);
        g[1][i] = i < 20 ? -g[0][i] : g[0][i];
      }
      const auto before = world.residuals();
      const auto results = world.step(g);
      const auto after = world.residuals();
      Vector balance(40, 0.0);
      for (std::size_t i = 0; i < 40; ++i) {
        balance[i] = before[0][i] + before[1][i] + g[0][i] + g[1][i] - after[0][i] - after[1][i];
      }
      ASSERT_EQ(to_doubles(shape.type, results[0].data(), 40), balance) << "step " << t;
      ASSERT_EQ(world.tensor(0).stats().last_entries, shape.k);
    }
  }
}

/// One rank, one entry sent, own value 0: r is not defined, d = 1 whatever mu.
TEST(Extremes, AnOwnValueOfZeroIsNotDamped) {
  for (const double mu : {1e-300, 0.5, 2.0, 1e300}) {
    SCOPED_TRACE(mu);
    World world({.count = 3, .k = 3, .mu = mu});
    static_cast<void>(world.step({{0.0, 0.0, 0.0}}));
    world.tensor(0).set_k(1);
    const auto results = world.step({{1.0, 3.0, 2.0}});
    EXPECT_EQ(to_doubles(DataType::float32, results[0].data(), 3), (Vector{0.0, 3.0, 0.0}));
  }
}

/// What all others cancelled is held back: the entry of the largest magnitude is not sent again.
TEST(Extremes, ExactCancellationIsHeldBack) {
  for (const double mu : {1e-300, 0.01, 2.0, 1e30}) {
    SCOPED_TRACE(mu);
    World world({.ranks = 2, .count = 4, .k = 1, .mu = mu});
    const std::vector<Vector> g = {{9, 1, 0.5, 0}, {-9, 1, 0.5, 0}};
    static_cast<void>(world.step(g));
    const auto results = world.step(g);
    EXPECT_EQ(to_doubles(DataType::float32, results[0].data(), 4), (Vector{0, 4, 0, 0}));
  }
}

/// mu = 0 is Top-k: the same entry again and again.
TEST(Extremes, MuZeroIsTopK) {
  World world({.ranks = 2, .count = 4, .k = 1, .mu = 0});
  const std::vector<Vector> g = {{9, 1, 0.5, 0}, {-9, 1, 0.5, 0}};
  for (int t = 0; t < 3; ++t) {
    const auto results = world.step(g);
    EXPECT_EQ(to_doubles(DataType::float32, results[0].data(), 4), Vector(4, 0.0));
  }
  EXPECT_EQ(world.residuals()[0], (Vector{0, 3, 1.5, 0}));
}

/// Gradients near the ends of each type, over several steps.
TEST(Extremes, ValuesNearTheEndsOfTheirTypes) {
  for (const DataType type : floating_types) {
    for (const DataType wire : floating_types) {
      if (wire == DataType::float64 && type != DataType::float64) continue;
      const Shape shape{.ranks = 2, .count = 500, .k = 60, .type = type, .wire = wire, .mu = 2};
      SCOPED_TRACE(describe(shape));
      World world(shape);
      Oracle oracle(shape);
      for (std::uint64_t t = 0; t < 4; ++t) {
        std::vector<Vector> g = {make_data(Pattern::denormals, 500, type, t),
                                 make_data(Pattern::denormals, 500, type, 10 + t)};
        for (std::size_t i = t; i < 500; i += 50) {
          g[0][i] = largest(type) / 16;
          g[1][i] = -smallest_normal(type);
        }
        const auto results = world.step(g);
        const auto residuals = world.residuals();
        const Oracle::Outcome outcome = oracle.step(g, 1.0, residuals);
        ASSERT_EQ(results[1], to_bytes(type, outcome.result)) << "step " << t;
        ASSERT_EQ(residuals[0], oracle.residual(0));
        ASSERT_EQ(residuals[1], oracle.residual(1));
      }
    }
  }
}

/// Selecting among scores that damping has brought far below the filter's bound.
TEST(Extremes, EverythingThatWasSentIsDampedToNothing) {
  const Shape shape{.ranks = 2, .count = 100'000, .k = 30'000, .mu = 2};
  World world(shape);
  Oracle oracle(shape);
  for (std::uint64_t t = 0; t < 4; ++t) {
    std::vector<Vector> g(2, make_data(Pattern::gaussian, shape.count, shape.type, 5));
    for (double& x : g[1]) x = -x;
    const auto results = world.step(g);
    const auto residuals = world.residuals();
    const Oracle::Outcome outcome = oracle.step(g, 1.0, residuals);
    ASSERT_EQ(results[0], to_bytes(shape.type, outcome.result)) << "step " << t;
    ASSERT_EQ(residuals[0], oracle.residual(0)) << "step " << t;
  }
}

}  // namespace
}  // namespace sparccl::test
