// A lower bound of the k-th largest score from about 1/64 of the entries.
#pragma once

#include "host/workspace.hpp"

namespace sparccl::host {

/// One cache line of each group of 64 is read: at the same place in every group it would alias with
/// the row lengths of matrices.
inline constexpr std::size_t lines_per_group = 64;
template <class A>
inline constexpr std::size_t line_size = 64 / sizeof(A);  // entries
template <class A>
inline constexpr std::size_t group_size = lines_per_group * line_size<A>;

/// The line of a group that is read, in [0, 64): a hash (splitmix64), so the same on every machine.
[[nodiscard]] constexpr std::size_t sampled_line(std::uint64_t seed, std::size_t group) {
  std::uint64_t x = (seed + 1) * 0x9e3779b97f4a7c15u ^ static_cast<std::uint64_t>(group);
  x = (x + 0x9e3779b97f4a7c15u);
  x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9u;
  x = (x ^ (x >> 27)) * 0x94d049bb133111ebu;
  return static_cast<std::size_t>((x ^ (x >> 31)) % lines_per_group);
}

/// Bits of a score that at least k entries reach, as far as the sample can tell; 0 where everything
/// is to be a candidate. Finite. Changes nothing but scratch in work.scores and work.values.
template <class G, class A>
[[nodiscard]] Bits<A> sampled_bound(const Plan& plan, const Step& step, const Memory& memory,
                                    const Workspace<A>& work);

}  // namespace sparccl::host
