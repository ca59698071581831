// The maths of one entry, for hosts and devices alike. Source: arXiv 2409.14893 and 2501.05633.
#pragma once

#include <bit>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <limits>

#include <sparccl/types.hpp>

#if defined(__CUDACC__)
#define SPARCCL_HOST_DEVICE __host__ __device__
#define SPARCCL_DEVICE __device__  // on the side that the file is compiled for
#else
#define SPARCCL_HOST_DEVICE
#define SPARCCL_DEVICE
#endif

namespace sparccl {

/// IEEE binary16 and bfloat16 as storage. Arithmetic is done in float.
struct float16 {
  std::uint16_t bits = 0;
};
struct bfloat16 {
  std::uint16_t bits = 0;
};

/// The type that entries of T are accumulated, scored and summed in.
template <class T>
struct AccumulatorOf {
  using type = float;
};
template <>
struct AccumulatorOf<double> {
  using type = double;
};
template <class T>
using Accumulator = typename AccumulatorOf<T>::type;

/// condition ? yes : no, with both of them computed: a loop of it becomes vector instructions,
/// where compilers would make a branch of the other.
SPARCCL_HOST_DEVICE constexpr std::uint32_t choose(bool condition, std::uint32_t yes,
                                                   std::uint32_t no) {
  const std::uint32_t mask = 0u - static_cast<std::uint32_t>(condition);
  return (yes & mask) | (no & ~mask);
}

SPARCCL_HOST_DEVICE constexpr float to_float(float x) { return x; }

SPARCCL_HOST_DEVICE constexpr float to_float(bfloat16 x) {
  return std::bit_cast<float>(static_cast<std::uint32_t>(x.bits) << 16);
}

SPARCCL_HOST_DEVICE constexpr float to_float(float16 x) {
  // Without subnormal floats, which a thread may have told its processor to take for zero.
  const std::uint32_t bits = x.bits;
  const std::uint32_t shifted = (bits & 0x7fffu) << 13;  // its exponent is 112 too small,
  const std::uint32_t special = choose(shifted >= 0x0f800000u, 0x38000000u, 0u);  // NaN, Inf 224
  const std::uint32_t normal = shifted + 0x38000000u + special;
  const float subnormal = std::bit_cast<float>(shifted + 0x38800000u) - 0x1p-14f;  // exact
  const std::uint32_t magnitude =
      choose(shifted < 0x00800000u, std::bit_cast<std::uint32_t>(subnormal), normal);
  return std::bit_cast<float>((bits & 0x8000u) << 16 | magnitude);
}

SPARCCL_HOST_DEVICE constexpr bool is_finite(float x) {
  return (std::bit_cast<std::uint32_t>(x) & 0x7f800000u) != 0x7f800000u;
}
SPARCCL_HOST_DEVICE constexpr bool is_finite(double x) {
  return (std::bit_cast<std::uint64_t>(x) >> 52 & 0x7ffu) != 0x7ffu;
}

/// Round to nearest, ties to even, as IEEE 754 does: what overflows becomes Inf, NaN stays NaN.
SPARCCL_HOST_DEVICE constexpr bfloat16 to_bfloat16(float x) {
  const std::uint32_t bits = std::bit_cast<std::uint32_t>(x);
  const std::uint32_t rounded = (bits + 0x7fffu + ((bits >> 16) & 1u)) >> 16;
  const std::uint32_t quiet = bits >> 16 | 0x40u;
  return {static_cast<std::uint16_t>(choose((bits & 0x7fffffffu) > 0x7f800000u, quiet, rounded))};
}

SPARCCL_HOST_DEVICE constexpr float16 to_float16(float x) {
  const std::uint32_t bits = std::bit_cast<std::uint32_t>(x);
  const std::uint32_t sign = bits >> 16 & 0x8000u;
  const std::uint32_t magnitude = bits & 0x7fffffffu;
  const std::uint32_t rounded = magnitude + 0xfffu + ((magnitude >> 13) & 1u);
  const std::uint32_t normal = (rounded - 0x38000000u) >> 13;
  // Below 2^-14, adding 0.5 leaves the units of 2^-24 in the low bits.
  const bool is_small = magnitude < 0x38800000u;
  const float shifted = std::bit_cast<float>(choose(is_small, magnitude, 0u)) + 0.5f;
  const std::uint32_t subnormal = std::bit_cast<std::uint32_t>(shifted) - 0x3f000000u;
  const std::uint32_t finite = choose(is_small, subnormal, normal);
  const std::uint32_t special = choose(magnitude > 0x7f800000u, 0x7e00u, 0x7c00u);  // NaN, Inf
  return {static_cast<std::uint16_t>(sign | choose(magnitude >= 0x477ff000u, special, finite))};
}

/// Conversions between storage types and their accumulator, by the type that is wanted.
template <class T>
struct Convert;

template <>
struct Convert<float> {
  static constexpr double max = std::numeric_limits<float>::max();
  template <class A>
  SPARCCL_HOST_DEVICE static constexpr float from(A x) {
    return static_cast<float>(x);
  }
  SPARCCL_HOST_DEVICE static constexpr float up(float x) { return x; }
};
template <>
struct Convert<double> {
  static constexpr double max = std::numeric_limits<double>::max();
  SPARCCL_HOST_DEVICE static constexpr double from(double x) { return x; }
  SPARCCL_HOST_DEVICE static constexpr double up(double x) { return x; }
};
template <>
struct Convert<float16> {
  static constexpr double max = 65504.0;
  template <class A>
  SPARCCL_HOST_DEVICE static constexpr float16 from(A x) {
    return to_float16(static_cast<float>(x));
  }
  SPARCCL_HOST_DEVICE static constexpr float up(float16 x) { return to_float(x); }
};
template <>
struct Convert<bfloat16> {
  static constexpr double max = 0x1.FEp127;
  template <class A>
  SPARCCL_HOST_DEVICE static constexpr bfloat16 from(A x) {
    return to_bfloat16(static_cast<float>(x));
  }
  SPARCCL_HOST_DEVICE static constexpr float up(bfloat16 x) { return to_float(x); }
};

/// a = e + s g, product and sum rounded one after the other on every backend (never fused).
template <class A>
SPARCCL_HOST_DEVICE inline A accumulate(A residual, A scale, A gradient) {
#if defined(__CUDA_ARCH__)
  if constexpr (sizeof(A) == 4)
    return __fadd_rn(residual, __fmul_rn(scale, gradient));
  else
    return __dadd_rn(residual, __dmul_rn(scale, gradient));
#else
  return residual + scale * gradient;  // hosts are compiled with -ffp-contract=off
#endif
}

/// The same where everything is sent: without a residual a zero of the gradient keeps its sign, as
/// in an allreduce of the gradient alone.
template <class A>
SPARCCL_HOST_DEVICE inline A accumulate_dense(A residual, A scale, A gradient) {
  return residual == A(0) ? scale * gradient : accumulate(residual, scale, gradient);
}

/// A finite `a` as it travels: rounded to the wire type, and held at its largest finite value, so
/// that what is left over for the residual is finite too.
template <class Wire, class A>
SPARCCL_HOST_DEVICE constexpr Wire to_wire(A a) {
  constexpr A limit =
      static_cast<A>(Convert<Wire>::max < static_cast<double>(std::numeric_limits<A>::max())
                         ? Convert<Wire>::max
                         : static_cast<double>(std::numeric_limits<A>::max()));
  return Convert<Wire>::from(a > limit ? limit : a < -limit ? -limit : a);
}

/// What the history keeps of an entry sent: own is the value sent, total the sum over all ranks.
/// previous: |r| = |total / own|, Inf (no damping) where own is 0. current: the others' sum.
template <class A>
SPARCCL_HOST_DEVICE inline A remember(Distortion distortion, A own, A total) {
  if (distortion == Distortion::current) return total - own;
  if (own == A(0)) return std::numeric_limits<A>::infinity();
  const A ratio = A(1) + (total - own) / own;
  return ratio < A(0) ? -ratio : ratio;
}

/// A mu > 0 as damping() takes it: one that A cannot hold is as good as the nearest that it can.
template <class A>
SPARCCL_HOST_DEVICE constexpr A damping_mu(double mu) {
  constexpr double least = static_cast<double>(std::numeric_limits<A>::min());
  constexpr double most = static_cast<double>(std::numeric_limits<A>::max());
  return static_cast<A>(mu < least ? least : mu > most ? most : mu);
}

/// d in [0, 1]: tanh(|r| / mu) for an entry that was sent last step. mu > 0.
template <class A>
SPARCCL_HOST_DEVICE inline A damping(Distortion distortion, A remembered, A a, A mu) {
  A ratio = remembered;
  if (distortion == Distortion::current) {
    if (a == A(0)) return A(1);
    ratio = A(1) + remembered / a;
  }
  if (!(ratio == ratio)) return A(1);  // Inf / Inf: a sum that overflowed damps nothing
  return std::tanh((ratio < A(0) ? -ratio : ratio) / mu);
}

/// |a| as an unsigned integer that sorts like it; NaN and Inf above all finite values.
SPARCCL_HOST_DEVICE constexpr std::uint32_t magnitude_bits(float a) {
  return std::bit_cast<std::uint32_t>(a) & 0x7fffffffu;
}
SPARCCL_HOST_DEVICE constexpr std::uint64_t magnitude_bits(double a) {
  return std::bit_cast<std::uint64_t>(a) & 0x7fffffffffffffffu;
}

}  // namespace sparccl
