// A lower bound of the k-th largest score from 1/64 of the entries or less.
#pragma once

#include <algorithm>
#include <bit>

#include "host/workspace.hpp"

namespace sparccl::host {

/// Entries of a cache line, the unit of the sample.
template <class A>
inline constexpr std::size_t line_size = 64 / sizeof(A);

/// One line of each group of so many is read: 64, or more where 128 of the k largest are expected
/// in the sample all the same, up to 1024. A power of two.
[[nodiscard]] constexpr std::size_t lines_per_group(const Plan& plan) {
  return std::bit_floor(std::clamp(plan.k / 128, std::size_t{64}, std::size_t{1024}));
}

/// The line of a group that is read, in [0, lines): a hash (splitmix64), for at the same place in
/// every group it would alias with the row lengths of matrices.
[[nodiscard]] constexpr std::size_t sampled_line(std::uint64_t seed, std::size_t group,
                                                 std::size_t lines) {
  std::uint64_t x = (seed + 1) * 0x9e3779b97f4a7c15u ^ static_cast<std::uint64_t>(group);
  x = (x + 0x9e3779b97f4a7c15u);
  x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9u;
  x = (x ^ (x >> 27)) * 0x94d049bb133111ebu;
  return static_cast<std::size_t>((x ^ (x >> 31)) % lines);
}

/// Bits of a score that at least k entries reach, as far as the sample can tell; 0 where everything
/// is to be a candidate. Finite. Changes nothing but scratch in work.scores and work.values.
template <class G, class A>
[[nodiscard]] Bits<A> sampled_bound(const Plan& plan, const Step& step, const Memory& memory,
                                    const Workspace<A>& work);

}  // namespace sparccl::host
