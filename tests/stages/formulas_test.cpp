// kernels/formulas.hpp against the oracle's own number formats and the compiler's.
#include <bit>
#include <cmath>
#include <cstring>
#include <random>

#include <gtest/gtest.h>

#include "formulas.hpp"
#include "number.hpp"

namespace sparccl::test {
namespace {

bool same(double a, double b) {
  return std::isnan(a) ? std::isnan(b) : a == b && std::signbit(a) == std::signbit(b);
}

/// Every sign, exponent and rounding boundary, then random bits.
template <class F>
void for_floats(F f) {
  for (std::uint32_t high = 0; high <= 0xffff; ++high) {
    for (const std::uint32_t low : {0x0000u, 0x0001u, 0x0fffu, 0x1000u, 0x1001u, 0x2000u, 0x7fffu,
                                    0x8000u, 0x8001u, 0xf000u, 0xffffu}) {
      f(std::bit_cast<float>(high << 16 | low));
    }
  }
  std::mt19937 random(1);
  for (int i = 0; i < 500'000; ++i) f(std::bit_cast<float>(static_cast<std::uint32_t>(random())));
}

TEST(Float16, ConvertsAllValuesBothWays) {
  for (std::uint32_t bits = 0; bits <= 0xffff; ++bits) {
    const float16 half{static_cast<std::uint16_t>(bits)};
    const float x = to_float(half);
    ASSERT_TRUE(same(x, load(DataType::float16, &half, 0))) << bits;
    const bool nan = (bits & 0x7c00) == 0x7c00 && (bits & 0x3ff) != 0;
    if (nan) {
      ASSERT_TRUE(std::isnan(to_float(to_float16(x)))) << bits;
    } else {
      ASSERT_EQ(to_float16(x).bits, bits);
    }
  }
}

TEST(Bfloat16, ConvertsAllValuesBothWays) {
  for (std::uint32_t bits = 0; bits <= 0xffff; ++bits) {
    const bfloat16 x{static_cast<std::uint16_t>(bits)};
    ASSERT_TRUE(same(to_float(x), load(DataType::bfloat16, &x, 0))) << bits;
    if (std::isnan(to_float(x))) {
      ASSERT_TRUE(std::isnan(to_float(to_bfloat16(to_float(x))))) << bits;
    } else {
      ASSERT_EQ(to_bfloat16(to_float(x)).bits, bits);
    }
  }
}

TEST(Float16, RoundsToNearestEven) {
  std::size_t wrong = 0;
  for_floats([&](float x) {
    wrong += same(to_float(to_float16(x)), round_to(DataType::float16, x)) ? 0 : 1;
  });
  EXPECT_EQ(wrong, 0u);
}

TEST(Bfloat16, RoundsToNearestEven) {
  std::size_t wrong = 0;
  for_floats([&](float x) {
    wrong += same(to_float(to_bfloat16(x)), round_to(DataType::bfloat16, x)) ? 0 : 1;
  });
  EXPECT_EQ(wrong, 0u);
}

#ifdef __FLT16_MANT_DIG__
TEST(Float16, AgreesWithTheCompiler) {
  __extension__ using Half = _Float16;
  std::size_t wrong = 0;
  for_floats([&](float x) {
    const std::uint16_t bits = std::bit_cast<std::uint16_t>(static_cast<Half>(x));
    const bool nan = std::isnan(x) && std::isnan(to_float(to_float16(x)));
    wrong += nan || to_float16(x).bits == bits ? 0 : 1;
  });
  EXPECT_EQ(wrong, 0u);
}
#endif

template <class Wire, class A>
void expect_held(DataType wire) {
  const double most = largest(wire);
  const double beyond = static_cast<double>(std::numeric_limits<A>::max());
  for (const double a : {most, std::nextafter(most, beyond), beyond, most * 0.999, 1.0, 0.1,
                         smallest_normal(wire), smallest_subnormal(wire),
                         smallest_subnormal(wire) * 0.5, smallest_subnormal(wire) * 0.75, 0.0}) {
    for (const double sign : {1.0, -1.0}) {
      const A x = static_cast<A>(sign * a);
      const double sent = static_cast<double>(Convert<Wire>::up(sparccl::to_wire<Wire>(x)));
      ASSERT_TRUE(same(sent, to_wire(wire, static_cast<double>(x))))
          << x << " on " << name_of(wire);
      ASSERT_TRUE(std::isfinite(sent)) << x;
    }
  }
}

TEST(ToWire, HoldsWhatIsTooLarge) {
  expect_held<float16, float>(DataType::float16);
  expect_held<bfloat16, float>(DataType::bfloat16);
  expect_held<float, float>(DataType::float32);
  expect_held<float16, double>(DataType::float16);
  expect_held<bfloat16, double>(DataType::bfloat16);
  expect_held<float, double>(DataType::float32);
  expect_held<double, double>(DataType::float64);
}

/// What a rounding to the wire leaves over is exact while the value is not held.
TEST(ToWire, LeavesAnExactRest) {
  std::mt19937 random(2);
  for (int i = 0; i < 200'000; ++i) {
    const float a = std::bit_cast<float>(static_cast<std::uint32_t>(random()));
    if (!std::isfinite(a)) continue;
    const float b = to_float(sparccl::to_wire<bfloat16>(a));
    ASSERT_EQ(static_cast<double>(a - b), static_cast<double>(a) - static_cast<double>(b)) << a;
    if (std::fabs(a) > 65504.0f) continue;
    const float h = to_float(sparccl::to_wire<float16>(a));
    ASSERT_EQ(static_cast<double>(a - h), static_cast<double>(a) - static_cast<double>(h)) << a;
  }
}

TEST(Damping, FollowsThePapers) {
  // own 2, the others -1.5: r = 1 - 0.75.
  const float r = remember<float>(Distortion::previous, 2.0f, 0.5f);
  EXPECT_EQ(r, 0.25f);
  EXPECT_FLOAT_EQ(damping<float>(Distortion::previous, r, 7.0f, 2.0f), std::tanh(0.125f));
  const float others = remember<float>(Distortion::current, 2.0f, 0.5f);
  EXPECT_EQ(others, -1.5f);
  EXPECT_FLOAT_EQ(damping<float>(Distortion::current, others, 3.0f, 2.0f), std::tanh(0.25f));
}

TEST(Damping, IsOneWhereItIsNotDefined) {
  const float infinity = std::numeric_limits<float>::infinity();
  EXPECT_EQ(damping<float>(Distortion::previous, remember<float>(Distortion::previous, 0, 5), 1, 2),
            1.0f);
  EXPECT_EQ(damping<float>(Distortion::current, 3.0f, 0.0f, 2.0f), 1.0f);
  EXPECT_EQ(damping<float>(Distortion::previous, infinity, 1.0f, 2.0f), 1.0f);
  EXPECT_EQ(damping<float>(Distortion::current, infinity, 1.0f, 2.0f), 1.0f);
  EXPECT_EQ(damping<float>(Distortion::current, -infinity, 1.0f, 2.0f), 1.0f);
}

/// |a| bounds the score from above: what the filter of the fused pass rests on.
TEST(Damping, LiesBetweenZeroAndOne) {
  std::mt19937 random(3);
  const auto any = [&] { return std::bit_cast<float>(static_cast<std::uint32_t>(random())); };
  for (int i = 0; i < 200'000; ++i) {
    const float own = any(), total = any(), a = any();
    if (!std::isfinite(own) || std::isnan(total) || !std::isfinite(a)) continue;
    for (const Distortion distortion : {Distortion::previous, Distortion::current}) {
      for (const float mu : {0.01f, 2.0f, 1e30f}) {
        const float d = damping(distortion, remember(distortion, own, total), a, mu);
        ASSERT_TRUE(d >= 0.0f && d <= 1.0f) << own << " " << total << " " << a << " " << mu;
        ASSERT_LE(std::fabs(a) * d, std::fabs(a));
      }
    }
  }
}

TEST(MagnitudeBits, SortLikeMagnitudes) {
  std::mt19937 random(4);
  float last = 0;
  for (int i = 0; i < 100'000; ++i) {
    const float x = std::bit_cast<float>(static_cast<std::uint32_t>(random()));
    if (std::isnan(x)) continue;
    ASSERT_EQ(magnitude_bits(x) < magnitude_bits(last), std::fabs(x) < std::fabs(last));
    last = x;
  }
  EXPECT_EQ(magnitude_bits(-0.0f), 0u);
  EXPECT_GT(magnitude_bits(std::numeric_limits<float>::quiet_NaN()),
            magnitude_bits(std::numeric_limits<float>::infinity()));
}

}  // namespace
}  // namespace sparccl::test
