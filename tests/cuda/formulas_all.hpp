// Every function of kernels/formulas.hpp, applied to one pair of inputs: what nvcc and g++ compile.
#pragma once

#include <cstdint>

#include "formulas.hpp"

namespace sparccl::test {

struct Input {
  float x = 0, y = 0, mu = 1;
};

/// What the formulas give, as bits, so that NaN can be compared.
struct Outcome {
  std::uint64_t of_float = 0, of_double = 0;        // a hash of the results
  float damping_previous = 0, damping_current = 0;  // tanh: not the same bits everywhere
  double damping_double = 0;
};

SPARCCL_HOST_DEVICE constexpr std::uint64_t mix(std::uint64_t hash, std::uint64_t bits) {
  return (hash ^ bits) * 0x9e3779b97f4a7c15u + (hash >> 29);
}
SPARCCL_HOST_DEVICE constexpr std::uint64_t bits_of(float x) {
  return x == x ? std::bit_cast<std::uint32_t>(x) : 0x7fc00000u;  // one NaN for all
}
SPARCCL_HOST_DEVICE constexpr std::uint64_t bits_of(double x) {
  return x == x ? std::bit_cast<std::uint64_t>(x) : 0x7ff8000000000000u;
}
SPARCCL_HOST_DEVICE constexpr std::uint64_t bits_of(float16 x) { return x.bits; }
SPARCCL_HOST_DEVICE constexpr std::uint64_t bits_of(bfloat16 x) { return x.bits; }

template <class Wire, class A>
SPARCCL_HOST_DEVICE constexpr std::uint64_t through(std::uint64_t hash, A a) {
  const Wire sent = to_wire<Wire>(a);
  hash = mix(hash, bits_of(Convert<Wire>::from(a)));
  hash = mix(hash, bits_of(sent));
  return mix(hash, bits_of(Convert<Wire>::up(sent)));
}

template <class A>
SPARCCL_HOST_DEVICE std::uint64_t common(const Input& in) {
  const A x = in.x;
  const A y = in.y;
  std::uint64_t hash = mix(1, bits_of(accumulate(x, static_cast<A>(in.mu), y)));
  hash = mix(hash, is_finite(x));
  hash = mix(hash, magnitude_bits(x));
  hash = through<float16>(hash, x);
  hash = through<bfloat16>(hash, x);
  hash = through<float>(hash, x);
  hash = mix(hash, bits_of(remember(Distortion::previous, x, y)));
  return mix(hash, bits_of(remember(Distortion::current, x, y)));
}

SPARCCL_HOST_DEVICE inline Outcome all_formulas(const Input& in) {
  Outcome out;
  out.of_float = common<float>(in);
  out.of_float = mix(out.of_float, bits_of(to_float(in.x)));
  out.of_float = mix(out.of_float, bits_of(to_float(to_float16(in.x))));
  out.of_float = mix(out.of_float, bits_of(to_float(to_bfloat16(in.x))));
  out.of_double = through<double>(common<double>(in), static_cast<double>(in.x));
  out.damping_previous = damping(Distortion::previous, in.y, in.x, in.mu);
  out.damping_current = damping(Distortion::current, in.y, in.x, in.mu);
  out.damping_double = damping<double>(Distortion::current, in.y, in.x, in.mu);
  return out;
}

/// The same, from the host side of a .cu file.
SPARCCL_API Outcome all_formulas_by_nvcc(const Input& in);

}  // namespace sparccl::test
