// The loops of simd.hpp over an instruction set's vectors. Included by one file per set, each
// compiled for it: nothing here may be shared with other files (hence the unnamed namespace, and no
// function of the standard library or of formulas.hpp), or the linker could keep the copy that an
// older processor does not run.
//
// A set is a struct with: A, G-loads, Vector, width, and
//   accumulate(residual, scale, gradient), load(const G*), store(A*, v), broadcast(scale),
//   at_least(v, bound) -> one bit per lane, append(v, mask, first, offsets, values),
//   clear(v, mask).
#pragma once

#include "host/simd.hpp"

namespace sparccl::host {
namespace {

template <class A>
constexpr Bits<A> infinity_bits() {
  if constexpr (sizeof(A) == 4)
    return 0x7f800000u;
  else
    return 0x7ff0000000000000u;
}

/// Four vectors at a time: one rarely taken branch for all of them.
template <class Set>
struct Loops {
  using A = typename Set::A;
  using Vector = typename Set::Vector;
  static constexpr std::size_t width = Set::width;
  static constexpr std::size_t group = 4 * width;

  /// Moves what reached the bound to the list. Returns how many entries that has now.
  static std::size_t move(Vector (&v)[4], const std::uint32_t (&reached)[4], std::size_t first,
                          const Appender<A>& out, std::size_t appended) {
    for (std::size_t j = 0; j < 4; ++j) {
      const std::size_t offset = out.first_offset + first + j * width;
      appended += Set::append(v[j], reached[j], static_cast<std::uint32_t>(offset),
                              out.offsets + appended, out.values + appended);
      v[j] = Set::clear(v[j], reached[j]);
    }
    return appended;
  }

  static void store(A* residual, const Vector (&v)[4]) {
    for (std::size_t j = 0; j < 4; ++j) Set::store(residual + j * width, v[j]);
  }

  static bool reach(const Vector (&v)[4], Bits<A> bound, std::uint32_t (&reached)[4]) {
    for (std::size_t j = 0; j < 4; ++j) reached[j] = Set::at_least(v[j], bound);
    return (reached[0] | reached[1] | reached[2] | reached[3]) != 0;
  }

  template <class G>
  static ChunkResult accumulate(const G* gradient, A* residual, std::size_t size, A scale,
                                Bits<A> bound, const Appender<A>& out) {
    const Vector scales = Set::broadcast(scale);
    ChunkResult result;
    std::size_t i = 0;
    for (; i + group <= size; i += group) {
      Vector v[4];
      for (std::size_t j = 0; j < 4; ++j) {
        const std::size_t at = i + j * width;
        v[j] = Set::accumulate(Set::load(residual + at), scales, Set::load(gradient + at));
      }
      std::uint32_t reached[4];
      if (reach(v, bound, reached)) [[unlikely]] {
        std::uint32_t not_finite[4];
        if (reach(v, infinity_bits<A>(), not_finite)) [[unlikely]] {
          result.finite = false;
          break;
        }
        result.appended = move(v, reached, i, out, result.appended);
      }
      store(residual + i, v);
    }
    result.processed = i;
    return result;
  }

  static ChunkResult collect(A* residual, std::size_t size, Bits<A> bound, const Appender<A>& out) {
    ChunkResult result;
    std::size_t i = 0;
    for (; i + group <= size; i += group) {
      Vector v[4];
      for (std::size_t j = 0; j < 4; ++j) v[j] = Set::load(residual + i + j * width);
      std::uint32_t reached[4];
      if (reach(v, bound, reached)) {
        result.appended = move(v, reached, i, out, result.appended);
        store(residual + i, v);
      }
    }
    result.processed = i;
    return result;
  }
};

}  // namespace
}  // namespace sparccl::host
