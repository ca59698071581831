// Data made so that the sample misleads: the bound is a guess until at least k entries reach it.
#include <gtest/gtest.h>

#include "data.hpp"
#include "rig.hpp"

namespace sparccl::test {
namespace {

constexpr std::uint64_t seed = 11;
constexpr std::size_t count = 300'000;
constexpr std::size_t k = 2000;

class Fallback : public testing::TestWithParam<DataType> {
 protected:
  [[nodiscard]] Shape shape() const {
    return {.count = count, .k = k, .type = GetParam(), .wire = GetParam()};
  }

  /// make(positions that the sample reads, the backend): the test's data.
  template <class Make>
  void on_each_backend(Make make) {
    for (const BackendCase& backend : backends()) {
      SCOPED_TRACE(backend.name);
      make(backend.sampled(plan_of(shape()), seed), backend);
    }
  }

  void expect_exact(const BackendCase& backend, const Vector& gradient, std::uint64_t fallbacks,
                    const Vector& before = {}) {
    Vector scores = gradient;
    for (std::size_t i = 0; i < count; ++i) {
      if (!before.empty())
        scores[i] = round_to(accumulator_of(GetParam()), before[i] + gradient[i]);
      scores[i] = std::abs(scores[i]);
    }
    Rig rig(backend, plan_of(shape()));
    if (!before.empty()) rig.set_residual(before);
    rig.produce(gradient, 1.0, seed);
    EXPECT_EQ(rig.counts().fallbacks, fallbacks);
    EXPECT_EQ(rig.positions(0), largest_scores(scores, k));
  }
};

TEST_P(Fallback, NotNeededWhenTheSampleIsFair) {
  on_each_backend([&](const Positions&, const BackendCase& backend) {
    expect_exact(backend, make_data(Pattern::gaussian, count, GetParam(), 3), 0);
  });
}

TEST_P(Fallback, FindsTheRestWhenTheSampleHoldsTheOnlySpikes) {
  on_each_backend([&](const Positions& sampled, const BackendCase& backend) {
    Vector gradient = make_data(Pattern::gaussian, count, GetParam(), 4);
    ASSERT_GT(sampled.size(), 400u * 7);
    for (std::size_t i = 0; i < 400; ++i) gradient[sampled[i * 7]] = i % 2 == 0 ? 1000.0 : -1000.0;
    expect_exact(backend, gradient, 1);
  });
}

TEST_P(Fallback, FillsUpTiesWhenTheRestIsAllEqual) {
  on_each_backend([&](const Positions& sampled, const BackendCase& backend) {
    Vector gradient(count, 0.25);
    for (std::size_t i = 0; i < 400; ++i) gradient[sampled[i * 5]] = 2.0;
    expect_exact(backend, gradient, 1);
  });
}

TEST_P(Fallback, TakesZerosWhenThereIsNothingElse) {
  on_each_backend([&](const Positions& sampled, const BackendCase& backend) {
    Vector gradient(count, 0.0);
    for (const std::uint64_t j : sampled) {
      if (j % 3 == 0) gradient[j] = 1.0;
    }
    const auto ones = static_cast<std::size_t>(std::count(gradient.begin(), gradient.end(), 1.0));
    ASSERT_GT(ones, 300u);
    expect_exact(backend, gradient, ones < k ? 1 : 0);
  });
}

/// k - 1 entries reach the bound, then k: the proof must not be one off.
TEST_P(Fallback, IsDecidedByExactlyKEntries) {
  on_each_backend([&](const Positions& sampled, const BackendCase& backend) {
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
      expect_exact(backend, gradient, reach < k || !backend.takes_the_bound ? 1 : 0);
    }
  });
}

/// After the first pass the residual is the accumulator already: the second must not add again.
TEST_P(Fallback, DoesNotAccumulateTwice) {
  on_each_backend([&](const Positions& sampled, const BackendCase& backend) {
    const DataType accumulator = accumulator_of(GetParam());
    Vector gradient = make_data(Pattern::clusters, count, GetParam(), 5);
    const Vector before = make_data(Pattern::gaussian, count, accumulator, 6);
    for (std::size_t i = 0; i < 400; ++i) gradient[sampled[i * 7]] = 4000.0;
    expect_exact(backend, gradient, 1, before);

    Rig rig(backend, plan_of(shape()));
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
    EXPECT_EQ(rig.residual(), expected);
  });
}

INSTANTIATE_TEST_SUITE_P(Types, Fallback, testing::ValuesIn(floating_types),
                         [](const auto& test) { return std::string(name_of(test.param)); });

}  // namespace
}  // namespace sparccl::test
