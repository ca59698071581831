// Nothing is lost: what was sent and what remains is what came in, entry by entry.
#include <gtest/gtest.h>

#include "world.hpp"

namespace sparccl::test {
namespace {

/// Adds b to a.
void add(Vector& a, const Vector& b) {
  for (std::size_t i = 0; i < a.size(); ++i) a[i] += b[i];
}

/// Small integers are exact in every type, so the books must balance to the last bit at any number
/// of ranks: what all ranks were given = what was handed out + what all ranks still hold.
TEST(Conservation, BalancesExactlyOverManySteps) {
  std::mt19937_64 random(101 + variation());
  for (int round = 0; round < rounds(40); ++round) {
    Shape shape = random_shape(random, 150'000);
    shape.reduction = Reduction::sum;
    // bfloat16 holds integers up to 256: ranks x steps x magnitude stays below.
    SCOPED_TRACE(describe(shape));
    World world(shape);
    Vector given(shape.count, 0.0), sent(shape.count, 0.0);
    const bool many = shape.ranks > 16;
    for (int t = 0; t < (many ? 4 : 6); ++t) {
      const auto gradients = integer_gradients(shape, many ? 1 : 2, random);
      for (const Vector& g : gradients) add(given, g);
      const auto results = world.step(gradients);
      add(sent, to_doubles(shape.type, results[0].data(), shape.count));
      Vector held(shape.count, 0.0);
      for (const Vector& e : world.residuals()) add(held, e);
      add(held, sent);
      ASSERT_EQ(held, given) << "step " << t;
    }
  }
}

/// On one rank the result is what was sent: a = sent + residual holds exactly for every wire,
/// because the rest of a rounding is a float. Loss scales are powers of two and others.
TEST(Conservation, KeepsTheRestOfARounding) {
  std::mt19937_64 random(102 + variation());
  for (int round = 0; round < rounds(40); ++round) {
    Shape shape = random_shape(random, 60'000);
    shape.ranks = 1;
    shape.reduction = Reduction::sum;
    shape.type = round % 4 == 0 ? DataType::float64 : DataType::float32;  // holds any wire's values
    if (shape.type == DataType::float32 && shape.wire == DataType::float64) {
      shape.wire = DataType::float16;
    }
    SCOPED_TRACE(describe(shape));
    const DataType accumulator = accumulator_of(shape.type);
    const double loss_scale = round % 3 == 0 ? 3.0 : 1024.0;
    World world(shape);
    for (int t = 0; t < 4; ++t) {
      // Below what the narrowest wire holds.
      const Pattern patterns[] = {Pattern::gaussian, Pattern::few_values, Pattern::clusters};
      const std::vector<Vector> g = {
          make_data(patterns[random() % 3], shape.count, shape.type, random())};
      const Vector before = world.residuals()[0];
      const auto results = world.step(g, loss_scale);
      const Vector after = world.residuals()[0];
      const Vector sent = to_doubles(shape.type, results[0].data(), shape.count);
      const double scale = round_to(accumulator, 1 / loss_scale);
      std::size_t lost = 0;
      for (std::size_t i = 0; i < shape.count; ++i) {
        const double a = round_to(accumulator, before[i] + round_to(accumulator, scale * g[0][i]));
        lost += sent[i] + after[i] == a ? 0 : 1;
      }
      ASSERT_EQ(lost, 0u) << "step " << t;
    }
  }
}

/// Values that the wire cannot hold are sent in parts, step by step, until nothing is left.
TEST(Conservation, SendsInPartsWhatTheWireCannotHold) {
  const Shape shape{.count = 100, .k = 100, .wire = DataType::float16};
  World world(shape);
  std::vector<Vector> g = {Vector(100, 0.0)};
  g[0][3] = 200'000;
  g[0][70] = -100'001;
  double first = 0, second = 0;
  for (int t = 0; t < 5; ++t) {
    const Vector sent = to_doubles(DataType::float32, world.step(g)[0].data(), 100);
    ASSERT_LE(std::abs(sent[3]), 65504.0);
    first += sent[3];
    second += sent[70];
    g[0].assign(100, 0.0);
  }
  EXPECT_EQ(first, 200'000.0);
  EXPECT_EQ(second, -100'001.0);
  EXPECT_EQ(world.residuals()[0], Vector(100, 0.0));
}

/// Over T steps of real numbers: the sum of what was sent plus the residual is the sum of the
/// gradients, up to the rounding of T additions.
TEST(Conservation, HoldsOverManyStepsOfRealNumbers) {
  const Shape shape{.ranks = 4, .count = 20'000, .k = 20, .mu = 2};
  World world(shape);
  std::mt19937_64 random(103 + variation());
  Vector given(shape.count, 0.0), accounted(shape.count, 0.0), magnitude(shape.count, 0.0);
  for (int t = 0; t < 50; ++t) {
    std::vector<Vector> gradients;
    for (int r = 0; r < shape.ranks; ++r) {
      gradients.push_back(make_data(Pattern::gaussian, shape.count, shape.type, random()));
      add(given, gradients.back());
      for (std::size_t i = 0; i < shape.count; ++i) magnitude[i] += std::abs(gradients.back()[i]);
    }
    add(accounted, to_doubles(shape.type, world.step(gradients)[0].data(), shape.count));
  }
  for (const Vector& e : world.residuals()) add(accounted, e);
  for (std::size_t i = 0; i < shape.count; ++i) {
    ASSERT_NEAR(accounted[i], given[i], magnitude[i] * 0x1p-23) << i;
  }
}

}  // namespace
}  // namespace sparccl::test
