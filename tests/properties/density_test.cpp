// Changes of density between steps, as warm-up schedules make them.
#include <gtest/gtest.h>

#include <filesystem>
#include <limits>
#include <string>

#include <unistd.h>

#include "world.hpp"

namespace sparccl::test {
namespace {

TEST(Density, GivesTheRoundedNumberOfEntries) {
  const std::vector<Communicator> one = Communicator::local(1);
  const auto k = [&](std::size_t count, double density) {
    return SparseAllreduce(one[0], "t", count, DataType::float32, {.density = density}).k();
  };
  EXPECT_EQ(k(1'000, 0.001), 1u);
  EXPECT_EQ(k(1, 0.001), 1u);  // at least one
  EXPECT_EQ(k(100, 1e-300), 1u);
  EXPECT_EQ(k(1'400, 0.001), 1u);
  EXPECT_EQ(k(1'600, 0.001), 2u);
  EXPECT_EQ(k(2'500, 0.001), 3u);  // round half away from zero, as std::round
  EXPECT_EQ(k(1'000'000, 0.01), 10'000u);
  EXPECT_EQ(k(777, 1.0), 777u);
  EXPECT_EQ(k(777, 0.9999), 777u);
}

TEST(Density, MayChangeBetweenSteps) {
  std::mt19937_64 random(701);
  for (int round = 0; round < 16; ++round) {
    Shape shape = random_shape(random, 60'000);
    SCOPED_TRACE(describe(shape));
    Oracle oracle(shape);
    World world(shape);
    for (int t = 0; t < 7; ++t) {
      if (t > 0) {
        const std::size_t choices[] = {1, shape.count, 1 + random() % shape.count,
                                       1 + random() % shape.count};
        const std::size_t k = choices[random() % 4];
        oracle.set_k(k);
        const auto before = world.states();
        world.each([&](SparseAllreduce& tensor, int) {
          tensor.set_k(k);
          EXPECT_EQ(tensor.k(), k);
        });
        ASSERT_EQ(world.states(), before) << "residual and history stay";
      }
      const auto gradients = random_gradients(shape, random);
      const auto results = world.step(gradients);
      const auto residuals = world.residuals();
      const Oracle::Outcome outcome = oracle.step(gradients, 1.0, residuals);
      for (std::size_t r = 0; r < results.size(); ++r) {
        ASSERT_EQ(residuals[r], oracle.residual(static_cast<int>(r))) << "step " << t;
        ASSERT_EQ(results[r], to_bytes(shape.type, outcome.result)) << "step " << t;
      }
    }
  }
}

/// The first k entries are so large at every step that they are sent again, unless a mu that is
/// high lets what has piled up elsewhere go before. The last rank's have the other sign.
std::vector<Vector> with_peaks(const Shape& shape, std::mt19937_64& random) {
  std::vector<Vector> gradients(static_cast<std::size_t>(shape.ranks), Vector(shape.count));
  for (Vector& gradient : gradients) {
    const double sign = &gradient == &gradients.back() ? -1 : 1;
    for (std::size_t i = 0; i < shape.count; ++i) {
      gradient[i] = sign * (i < shape.k ? 50 + double(random() % 64) : 4 + double(random() % 3));
    }
  }
  return gradients;
}

/// As a tensor that had that mu from the start and was given the same state.
TEST(Mu, MayChangeBetweenSteps) {
  std::mt19937_64 random(702);
  const std::string file = testing::TempDir() + "sparccl_mu_" + std::to_string(getpid()) + "_";
  for (const double from : {0.0, 2.0}) {
    Shape shape{.ranks = 3, .count = 5'000, .k = 200, .mu = from};
    World world(shape);
    for (int t = 0; t < 3; ++t) static_cast<void>(world.step(with_peaks(shape, random)));
    world.each(
        [&](SparseAllreduce& tensor, int rank) { tensor.save(file + std::to_string(rank)); });
    const auto gradients = with_peaks(shape, random);
    const auto unchanged = [&] {
      World same(shape);
      same.each([&](SparseAllreduce& tensor, int r) { tensor.load(file + std::to_string(r)); });
      return same.step(gradients);
    }();
    shape.mu = 16;
    World other(shape);
    other.each([&](SparseAllreduce& tensor, int rank) {
      tensor.load(file + std::to_string(rank));
      std::filesystem::remove(file + std::to_string(rank));
    });
    world.each([](SparseAllreduce& tensor, int) { tensor.set_mu(16); });
    const auto changed = world.step(gradients);
    EXPECT_EQ(changed, other.step(gradients));
    EXPECT_NE(changed, unchanged) << "it makes no difference here";
    EXPECT_EQ(world.states(), other.states());
  }
}

TEST(Density, WarmsUpAsDeepGradientCompressionDoes) {
  const DgcWarmup schedule(0.001, 2);
  const double expected[] = {0.25,     0.25,       0.0625,     0.0625, 0.015625,
                             0.015625, 0.00390625, 0.00390625, 0.001,  0.001};
  const Shape shape{.ranks = 2, .count = 50'000, .k = 1, .mu = 2};
  World world(shape);
  Oracle oracle(shape);
  std::mt19937_64 random(702);
  for (std::size_t t = 0; t < std::size(expected); ++t) {
    ASSERT_DOUBLE_EQ(schedule(t), expected[t]);
    world.each([&](SparseAllreduce& tensor, int) { tensor.set_density(schedule(t)); });
    const auto k = static_cast<std::size_t>(std::round(expected[t] * 50'000));
    ASSERT_EQ(world.tensor(0).k(), k);
    oracle.set_k(k);
    const auto gradients = random_gradients(shape, random);
    const auto results = world.step(gradients);
    const auto residuals = world.residuals();
    const Oracle::Outcome outcome = oracle.step(gradients, 1.0, residuals);
    ASSERT_EQ(results[0], to_bytes(shape.type, outcome.result)) << "step " << t;
    ASSERT_EQ(world.tensor(0).stats().last_entries, k);
  }
}

TEST(DgcWarmup, HasNoSurprises) {
  EXPECT_EQ(DgcWarmup(0.5, 1)(0), 0.5) << "never below the final density";
  EXPECT_EQ(DgcWarmup(0.001, 0)(0), 0.001) << "no steps, no warm-up";
  EXPECT_EQ(DgcWarmup(0.001, 10, 0)(0), 0.001);
  EXPECT_EQ(DgcWarmup(0.001, 10)(~std::size_t{0}), 0.001);
  EXPECT_EQ(DgcWarmup(0.001, 10, 1)(9), 0.25);
  EXPECT_EQ(DgcWarmup(0.001, 10, 1)(10), 0.001);
}

TEST(Density, FollowsTheGradientAsAccordionDoes) {
  Accordion density(0.001, 0.1);
  EXPECT_EQ(density.density(), 0.1) << "nothing is known yet";
  EXPECT_EQ(density.end_interval(10), 0.1);
  EXPECT_EQ(density.end_interval(5), 0.1) << "a change of one half is fast";
  EXPECT_EQ(density.end_interval(7.4), 0.001);
  EXPECT_EQ(density.density(), 0.001);
  EXPECT_EQ(density.end_interval(7.4, true), 0.1) << "the learning rate falls";
  EXPECT_EQ(density.end_interval(7.4), 0.001);
  EXPECT_EQ(density.end_interval(11.2), 0.1) << "growing is a change, too";
  EXPECT_EQ(density.end_interval(std::numeric_limits<double>::quiet_NaN()), 0.1);
  EXPECT_EQ(density.end_interval(11.2), 0.1) << "there is nothing to compare with";
  EXPECT_EQ(density.end_interval(11.2), 0.001);
}

}  // namespace
}  // namespace sparccl::test
