// Data made so that the sample misleads: the bound is a guess until at least k entries reach it.
#include <gtest/gtest.h>

#include "data.hpp"
#include "host/sample.hpp"
#include "rig.hpp"

namespace sparccl::test {
namespace {

constexpr std::uint64_t seed = 11;
constexpr std::size_t count = 300'000;
constexpr std::size_t k = 2000;

std::size_t line_of(DataType type) {
  return type == DataType::float64 ? host::line_size<double> : host::line_size<float>;
}

/// Entries of the lines that the sample reads, in order.
Positions sampled_positions(DataType type) {
  const std::size_t line = line_of(type);
  const std::size_t lines = host::lines_per_group(plan_of({.count = count, .k = k, .type = type}));
  const std::size_t group = line * lines;
  Positions positions;
  for (std::size_t g = 0; g < count / group; ++g) {
    const std::size_t begin = g * group + host::sampled_line(seed, g, lines) * line;
    for (std::size_t i = 0; i < line; ++i) positions.push_back(begin + i);
  }
  return positions;
}

class Fallback : public testing::TestWithParam<DataType> {
 protected:
  void expect_exact(const Vector& gradient, std::uint64_t fallbacks, const Vector& before = {}) {
    const Shape shape{.count = count, .k = k, .type = GetParam(), .wire = GetParam()};
    Vector scores = gradient;
    for (std::size_t i = 0; i < count; ++i) {
      if (!before.empty())
        scores[i] = round_to(accumulator_of(GetParam()), before[i] + gradient[i]);
      scores[i] = std::abs(scores[i]);
    }
    const Positions expected = largest_scores(scores, k);
    for (const BackendCase& backend : backends()) {
      SCOPED_TRACE(backend.name);
      Rig rig(backend, plan_of(shape));
      if (!before.empty()) rig.set_residual(before);
      rig.produce(gradient, 1.0, seed);
      EXPECT_EQ(rig.counts().fallbacks, fallbacks);
      EXPECT_EQ(rig.positions(0), expected);
    }
  }
};

TEST_P(Fallback, NotNeededWhenTheSampleIsFair) {
  expect_exact(make_data(Pattern::gaussian, count, GetParam(), 3), 0);
}

TEST_P(Fallback, FindsTheRestWhenTheSampleHoldsTheOnlySpikes) {
  Vector gradient = make_data(Pattern::gaussian, count, GetParam(), 4);
  const Positions sampled = sampled_positions(GetParam());
  ASSERT_GT(sampled.size(), 400u);
  for (std::size_t i = 0; i < 400; ++i) gradient[sampled[i * 7]] = i % 2 == 0 ? 1000.0 : -1000.0;
  expect_exact(gradient, 1);
}

TEST_P(Fallback, FillsUpTiesWhenTheRestIsAllEqual) {
  Vector gradient(count, 0.25);
  const Positions sampled = sampled_positions(GetParam());
  for (std::size_t i = 0; i < 400; ++i) gradient[sampled[i * 5]] = 2.0;
  expect_exact(gradient, 1);
}

TEST_P(Fallback, TakesZerosWhenThereIsNothingElse) {
  Vector gradient(count, 0.0);
  for (const std::uint64_t j : sampled_positions(GetParam())) {
    if (j % 3 == 0) gradient[j] = 1.0;
  }
  const auto ones = static_cast<std::size_t>(std::count(gradient.begin(), gradient.end(), 1.0));
  ASSERT_GT(ones, 300u);
  expect_exact(gradient, ones < k ? 1 : 0);
}

/// k - 1 entries reach the bound, then k: the proof must not be one off.
TEST_P(Fallback, IsDecidedByExactlyKEntries) {
  const Positions sampled = sampled_positions(GetParam());
  for (const std::size_t reach : {k - 1, k}) {
    Vector gradient = make_data(Pattern::ascending, count, GetParam(), 0);
    std::size_t placed = 0;
    for (; placed < 400; ++placed) gradient[sampled[placed * 6]] = 500.0;
    for (std::size_t i = 0; placed < reach; ++i) {
      const bool free = gradient[i * 10] != 500.0;
      gradient[i * 10] = 500.0;
      placed += free ? 1 : 0;
    }
    SCOPED_TRACE(reach);
    expect_exact(gradient, reach < k ? 1 : 0);
  }
}

/// After the first pass the residual is the accumulator already: the second must not add again.
TEST_P(Fallback, DoesNotAccumulateTwice) {
  const DataType accumulator = accumulator_of(GetParam());
  Vector gradient = make_data(Pattern::clusters, count, GetParam(), 5);
  const Vector before = make_data(Pattern::gaussian, count, accumulator, 6);
  const Positions sampled = sampled_positions(GetParam());
  for (std::size_t i = 0; i < 400; ++i) gradient[sampled[i * 7]] = 4000.0;
  expect_exact(gradient, 1, before);

  const Shape shape{.count = count, .k = k, .type = GetParam(), .wire = GetParam()};
  for (const BackendCase& backend : backends()) {
    Rig rig(backend, plan_of(shape));
    rig.set_residual(before);
    rig.produce(gradient, 1.0, seed);
    const Positions sent = rig.positions(0);
    Vector expected(count);
    for (std::size_t i = 0; i < count; ++i) {
      expected[i] = round_to(accumulator, before[i] + gradient[i]);
    }
    const Vector values = rig.values(0);
    for (std::size_t i = 0; i < k; ++i) {
      expected[sent[i]] = round_to(accumulator, expected[sent[i]] - values[i]);
    }
    EXPECT_EQ(rig.residual(), expected) << backend.name;
  }
}

INSTANTIATE_TEST_SUITE_P(Types, Fallback, testing::ValuesIn(floating_types),
                         [](const auto& test) { return std::string(name_of(test.param)); });

}  // namespace
}  // namespace sparccl::test
