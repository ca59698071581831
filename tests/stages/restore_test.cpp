// A step that is taken back: the residual is what it was to 1 ulp of the larger of it, the gradient
// and their sum, never non-finite, and the history is untouched.
#include <cmath>

#include <gtest/gtest.h>

#include "data.hpp"
#include "rig.hpp"

namespace sparccl::test {
namespace {

/// Largest distance in ulps of the larger magnitude; Inf where a value is not finite.
double distance(const Shape& shape, const Vector& before, const Vector& gradient, double scale,
                const Vector& after) {
  const DataType type = accumulator_of(shape.type);
  double most = 0;
  for (std::size_t i = 0; i < before.size(); ++i) {
    if (!std::isfinite(after[i])) return std::numeric_limits<double>::infinity();
    const double scaled = std::isfinite(gradient[i]) ? std::fabs(scale * gradient[i]) : 0.0;
    const double sum = std::min(scaled + std::fabs(before[i]), largest(type));
    const double larger = std::max({std::fabs(before[i]), scaled, sum});
    most = std::max(most,
                    std::fabs(after[i] - before[i]) / ulp(type, std::min(larger, largest(type))));
  }
  return most;
}

class Restore : public testing::TestWithParam<DataType> {
 protected:
  void expect_taken_back(const Shape& shape, const Vector& before, const Vector& gradient,
                         double scale = 1.0) {
    for (const BackendCase& backend : backends()) {
      SCOPED_TRACE(testing::Message() << backend.name << " wire " << name_of(shape.wire));
      Rig rig(backend, plan_of(shape));
      // A step first, so that there is a history.
      rig.produce(make_data(Pattern::gaussian, shape.count, shape.type, 30));
      static_cast<void>(rig.merge(rig.check()));
      rig.set_residual(before);
      const Bytes history = rig.history();
      rig.produce(gradient, scale, 1);
      rig.restore();
      EXPECT_LE(distance(shape, before, gradient, scale, rig.residual()), 1.0);
      EXPECT_EQ(rig.history(), history);
    }
  }
};

TEST_P(Restore, FinitePackets) {
  for (const Pattern pattern : all_patterns) {
    SCOPED_TRACE(name_of(pattern));
    for (const DataType wire : floating_types) {
      if (wire == DataType::float64 && GetParam() != DataType::float64) continue;
      const Shape shape{.count = 3'001, .k = 300, .type = GetParam(), .wire = wire, .mu = 2};
      Vector before = make_data(pattern, shape.count, accumulator_of(GetParam()), 31);
      for (double& e : before) e = round_to(accumulator_of(GetParam()), e / 4);
      Vector gradient = make_data(Pattern::heavy_tails, shape.count, GetParam(), 32);
      expect_taken_back(shape, before, gradient);
      expect_taken_back(shape, before, gradient, 1.0 / 1024);
    }
  }
}

/// Where a gradient is not finite, accumulate stops: before it and behind it all must be as before.
TEST_P(Restore, NonFiniteGradients) {
  const double infinity = std::numeric_limits<double>::infinity();
  constexpr std::size_t n = 70'001;
  const Shape shape{.count = n, .k = 70, .type = GetParam(), .wire = GetParam(), .mu = 2};
  const Vector before = make_data(Pattern::gaussian, n, accumulator_of(GetParam()), 33);
  const Vector gradient = make_data(Pattern::clusters, n, GetParam(), 34);
  for (const std::size_t at :
       {std::size_t{0}, std::size_t{1}, std::size_t{63}, std::size_t{64}, std::size_t{8191},
        std::size_t{8192}, std::size_t{8193}, std::size_t{65'600}, n - 65, n - 2, n - 1}) {
    for (const double bad : {std::nan(""), infinity, -infinity}) {
      SCOPED_TRACE(testing::Message() << bad << " at " << at);
      Vector g = gradient;
      g[at] = bad;
      expect_taken_back(shape, before, g);
      if (HasFailure()) return;
    }
  }
}

/// So many NaN that the sample's bound is one, and Inf, which a NaN is above, before them.
TEST_P(Restore, GradientsThatAreMostlyNaN) {
  constexpr std::size_t n = 300'001;
  const Shape shape{.count = n, .k = 300, .type = GetParam(), .wire = GetParam()};
  const Vector before = make_data(Pattern::gaussian, n, accumulator_of(GetParam()), 39);
  Vector gradient(n, std::nan(""));
  std::fill_n(gradient.begin(), 1'000, 1.0);
  gradient[10] = gradient[700] = std::numeric_limits<double>::infinity();
  expect_taken_back(shape, before, gradient);
}

TEST_P(Restore, OverflowingSums) {
  const DataType accumulator = accumulator_of(GetParam());
  const Shape shape{.count = 200, .k = 20, .type = GetParam(), .wire = GetParam()};
  for (const std::size_t at : {0, 77, 199}) {
    Vector before = make_data(Pattern::gaussian, shape.count, accumulator, 35);
    Vector gradient = make_data(Pattern::gaussian, shape.count, GetParam(), 36);
    before[at] = largest(accumulator);
    gradient[at] = largest(GetParam());
    // A float16 is too small to overflow a float residual by itself.
    const double scale = GetParam() == DataType::float16 ? 1e36 : 1.0;
    for (std::size_t i = 0; i < shape.count && scale > 1; ++i) {
      if (i != at) gradient[i] = 0;
    }
    for (const BackendCase& backend : backends()) {
      Rig rig(backend, plan_of(shape));
      rig.set_residual(before);
      rig.produce(gradient, scale);
      EXPECT_EQ(rig.flags(0), packet_non_finite);
      EXPECT_EQ(rig.entries(0), 0u);
      rig.restore();
      EXPECT_LE(distance(shape, before, gradient, scale, rig.residual()), 1.0) << backend.name;
    }
  }
}

/// The sum rounds down to the largest value but one, the difference up and over: it must stay
/// finite.
TEST_P(Restore, NeverOverflowsByRounding) {
  const DataType accumulator = accumulator_of(GetParam());
  const double most = largest(accumulator);
  const double unit = ulp(accumulator, most);
  constexpr std::size_t n = 96;
  const Shape shape{.count = n, .k = 1, .type = GetParam(), .wire = GetParam()};
  Vector before(n, most), gradient(n, 0.0);
  double scale = 1.0;
  for (std::size_t i = 0; i < n; ++i) {
    if (i % 2 == 1) before[i] = -most;
    const double quarters = 0.25 * static_cast<double>(i / 2 + 1);
    gradient[i] = (i % 2 == 1 ? 1 : -1) * quarters * unit;
  }
  if (GetParam() == DataType::float16) {
    scale = unit / 4;
    for (double& g : gradient) g /= scale;
  }
  for (double& g : gradient) g = round_to(GetParam(), g);
  expect_taken_back(shape, before, gradient, scale);
  gradient[n - 1] = std::numeric_limits<double>::infinity();  // and where accumulate undoes it
  expect_taken_back(shape, before, gradient, scale);
}

/// Values far above what the wire holds: what was sent comes back exactly, not by adding it.
TEST_P(Restore, ValuesThatTheWireHeld) {
  if (GetParam() == DataType::float16) return;
  const DataType accumulator = accumulator_of(GetParam());
  constexpr std::size_t n = 5'000;
  const Shape shape{.count = n, .k = n, .type = GetParam(), .wire = DataType::float16};
  Vector before = make_data(Pattern::gaussian, n, accumulator, 37);
  Vector gradient = make_data(Pattern::gaussian, n, GetParam(), 38);
  const double magnitude = accumulator == DataType::float64 ? 0x1p58 : 0x1p29;
  for (std::size_t i = 0; i < n; ++i) {
    before[i] = round_to(accumulator, before[i] * magnitude);
    gradient[i] = round_to(GetParam(), gradient[i] * magnitude / 8);
  }
  expect_taken_back(shape, before, gradient);
}

INSTANTIATE_TEST_SUITE_P(Types, Restore, testing::ValuesIn(floating_types),
                         [](const auto& test) { return std::string(name_of(test.param)); });

}  // namespace
}  // namespace sparccl::test
