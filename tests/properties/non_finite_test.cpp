// A gradient that is not finite, on any rank: the result is not finite on every rank, and the step
// is as if it had not happened.
#include <cmath>

#include <gtest/gtest.h>

#include "communicator.hpp"
#include "world.hpp"

namespace sparccl::test {
namespace {

constexpr double infinity = std::numeric_limits<double>::infinity();

bool all_nan(DataType type, const Bytes& bytes) {
  for (std::size_t i = 0; i < bytes.size() / size_of(type); ++i) {
    if (!std::isnan(load(type, bytes.data(), i))) return false;
  }
  return true;
}

/// Entries of `after` that are more than an ulp of the larger magnitude away from `before`.
std::size_t moved(DataType accumulator, const Vector& before, const Vector& gradient, double scale,
                  const Vector& after) {
  std::size_t count = 0;
  for (std::size_t i = 0; i < before.size(); ++i) {
    const double g = std::isfinite(gradient[i]) ? std::fabs(scale * gradient[i]) : 0.0;
    const double larger = std::min(std::max(std::fabs(before[i]), g), largest(accumulator));
    count += std::fabs(after[i] - before[i]) <= ulp(accumulator, larger) ? 0 : 1;
  }
  return count;
}

Bytes history_part(const Shape& shape, const Bytes& state) {
  const std::size_t residual = shape.count * size_of(accumulator_of(shape.type));
  return {state.begin() + static_cast<std::ptrdiff_t>(residual), state.end()};
}

/// A good step, the bad one, and a good one again that must equal a run without the bad one to
/// within what the rounding of taking it back can move.
void expect_skipped(const Shape& shape, const std::vector<Vector>& bad, std::mt19937_64& random,
                    double loss_scale = 1.0) {
  SCOPED_TRACE(describe(shape));
  const DataType accumulator = accumulator_of(shape.type);
  World world(shape);
  static_cast<void>(world.step(random_gradients(shape, random)));
  const auto before = world.residuals();
  const auto before_states = world.states();
  for (const Bytes& result : world.step(bad, loss_scale)) {
    ASSERT_TRUE(all_nan(shape.type, result));
  }
  const auto after = world.residuals();
  const auto after_states = world.states();
  for (std::size_t r = 0; r < before.size(); ++r) {
    ASSERT_EQ(moved(accumulator, before[r], bad[r], 1 / loss_scale, after[r]), 0u) << "rank " << r;
    ASSERT_EQ(history_part(shape, after_states[r]), history_part(shape, before_states[r]));
    ASSERT_EQ(world.tensor(static_cast<int>(r)).stats().non_finite_steps, 1u);
  }
}

TEST(NonFinite, IsSeenFromAnyRankAndAnyEntry) {
  std::mt19937_64 random(301 + variation());
  for (int round = 0; round < rounds(60); ++round) {
    const Shape shape = random_shape(random, 60'000);
    std::vector<Vector> bad = random_gradients(shape, random);
    const double kinds[] = {std::nan(""), infinity, -infinity};
    const std::size_t n = shape.count;
    const std::size_t places[] = {0, n - 1, n / 2, random() % n};
    bad[random() % bad.size()][places[random() % 4]] = kinds[random() % 3];
    expect_skipped(shape, bad, random, round % 2 == 0 ? 1.0 : 256.0);
    if (testing::Test::HasFatalFailure()) return;
  }
}

TEST(NonFinite, OnSeveralRanksAtOnce) {
  std::mt19937_64 random(302 + variation());
  const Shape shape{.ranks = 5, .count = 10'000, .k = 100, .mu = 2};
  std::vector<Vector> bad = random_gradients(shape, random);
  bad[1][0] = infinity;
  bad[3][9'999] = -infinity;
  bad[4].assign(10'000, std::nan(""));
  expect_skipped(shape, bad, random);
}

/// e and g are finite, their sum is not.
TEST(NonFinite, OverflowOfTheAccumulation) {
  for (const DataType type : {DataType::float32, DataType::bfloat16, DataType::float64}) {
    const Shape shape{.ranks = 2, .count = 100, .k = 1, .type = type, .wire = type};
    SCOPED_TRACE(describe(shape));
    const double most = largest(type);
    World world(shape);
    std::vector<Vector> g(2, Vector(100, 0.0));
    g[1][10] = g[1][60] = most;
    static_cast<void>(world.step(g));  // sends entry 10; 60 stays
    ASSERT_EQ(world.residuals()[1][60], most);
    const auto states = world.states();
    for (const Bytes& result : world.step(g)) ASSERT_TRUE(all_nan(type, result));
    EXPECT_EQ(world.states(), states);
    // A step that takes it down again is as good as any.
    g[1].assign(100, 0.0);
    g[1][60] = -most / 2;
    const auto results = world.step(g);
    EXPECT_EQ(load(type, results[0].data(), 60), most - most / 2);
  }
}

/// Taking a step back rounds; next to the largest value it must not round to Inf.
TEST(NonFinite, NeverLeavesAResidualThatIsNotFinite) {
  const double most = largest(DataType::float32);
  const double unit = ulp(DataType::float32, most);
  const Shape shape{.ranks = 2, .count = 64, .k = 1};
  for (const double units : {0.25, 0.5, 0.75, 1.0, 1.25, 1.5, 2.5, 3.5}) {
    SCOPED_TRACE(units);
    World world(shape);
    static_cast<void>(world.step({Vector(64, most), Vector(64, 0.0)}));
    std::vector<Vector> bad = {Vector(64, -units * unit), Vector(64, 0.0)};
    bad[1][5] = std::nan("");
    static_cast<void>(world.step(bad));
    const Vector residual = world.residuals()[0];
    for (const double e : residual) ASSERT_TRUE(std::isfinite(e));
  }
}

TEST(NonFinite, ErrorPolicyThrowsOnEveryRank) {
  const Shape shape{.ranks = 3, .count = 500, .k = 5, .mu = 2};
  Options options = options_of(shape);
  options.non_finite = NonFinite::error;
  if (make_ranks(1)[0].impl()->asynchronous()) GTEST_SKIP() << "calls have returned by then";
  World world(shape, options, "conv.bias");
  std::mt19937_64 random(303 + variation());
  static_cast<void>(world.step(random_gradients(shape, random)));
  std::vector<Vector> bad(3, Vector(500, 0.0));
  bad[2][499] = infinity;
  const auto states = world.states();
  world.each([&](SparseAllreduce& tensor, int rank) {
    const Bytes gradient = to_bytes(shape.type, bad[static_cast<std::size_t>(rank)]);
    expect_error([&] { static_cast<void>(run(tensor, gradient)); }, Result::non_finite,
                 {"conv.bias", "rank 2", "finite"});
  });
  EXPECT_EQ(world.states(), states);
  static_cast<void>(world.step(random_gradients(shape, random)));  // and on it goes
}

TEST(NonFinite, InPlace) {
  const Shape shape{.ranks = 2, .count = 70'000, .k = 700, .mu = 2};
  World world(shape);
  std::mt19937_64 random(304 + variation());
  static_cast<void>(world.step({make_integers(70'000, 9, 1), make_integers(70'000, 9, 2)}));
  const auto states = world.states();
  world.each([&](SparseAllreduce& tensor, int rank) {
    Vector g = make_integers(70'000, 9, 3);  // small integers: taken back exactly
    if (rank == 1) g[69'999] = std::nan("");
    EXPECT_TRUE(all_nan(shape.type, run(tensor, to_bytes(shape.type, g), 1.0, Where::in_place)));
  });
  EXPECT_EQ(world.states(), states);
}

TEST(NonFinite, SparseResultIsOneNaN) {
  const Shape shape{.ranks = 2, .count = 1'000, .k = 10};
  World world(shape);
  world.each([&](SparseAllreduce& tensor, int rank) {
    Vector g(1'000, 1.0);
    if (rank == 0) g[999] = infinity;
    const SparseResult result = run_sparse(tensor, to_bytes(shape.type, g));
    ASSERT_EQ(result.entries, 1u);
    EXPECT_EQ(result.positions[0], 0u);
    EXPECT_TRUE(std::isnan(load(shape.type, result.values.data(), 0)));
  });
}

/// A sum that overflows although every rank's values are finite is Inf, as in a dense allreduce,
/// and the step counts: everything that was sent has left the residuals.
TEST(NonFinite, OverflowOfTheReductionIsInfinite) {
  const Shape shape{.ranks = 2, .count = 10, .k = 10, .mu = 2};
  World world(shape);
  const double most = largest(DataType::float32);
  const auto results = world.step({Vector(10, most), Vector(10, most)});
  EXPECT_EQ(to_doubles(shape.type, results[0].data(), 10), Vector(10, infinity));
  EXPECT_EQ(world.residuals()[0], Vector(10, 0.0));
  const auto next = world.step({Vector(10, 1.0), Vector(10, 1.0)});
  EXPECT_EQ(to_doubles(shape.type, next[0].data(), 10), Vector(10, 2.0));
}

}  // namespace
}  // namespace sparccl::test
