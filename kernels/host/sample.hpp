// A lower bound of the k-th largest score from 1/64 of the entries or less.
#pragma once

#include <algorithm>
#include <bit>

#include "host/workspace.hpp"
#include "sampling.hpp"

namespace sparccl::host {

/// Entries of a cache line, the unit of the sample.
template <class A>
inline constexpr std::size_t line_size = 64 / sizeof(A);

/// One line of each group of so many is read: 64, or more where 128 of the k largest are expected
/// in the sample all the same, up to 1024. A power of two.
[[nodiscard]] constexpr std::size_t lines_per_group(const Plan& plan) {
  return std::bit_floor(std::clamp(plan.k / 128, std::size_t{64}, std::size_t{1024}));
}

/// Bits of a score that at least k entries reach, as far as the sample can tell; 0 where everything
/// is to be a candidate. Finite. Changes nothing but scratch in work.scores and work.values.
template <class G, class A>
[[nodiscard]] Bits<A> sampled_bound(const Plan& plan, const Step& step, const Memory& memory,
                                    const Workspace<A>& work);

}  // namespace sparccl::host
