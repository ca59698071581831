// Exact selection among candidates.
#pragma once

#include "host/workspace.hpp"

namespace sparccl::host {

/// The k-th largest of scores[0, size), as bits, and how many entries equal to it belong to the k
/// largest. 1 <= k <= size; scores finite and not negative.
template <class A>
struct Threshold {
  Bits<A> bits = 0;
  std::size_t ties = 0;

  /// Whether an entry of this score belongs to the k largest; asked in position order, so that of
  /// equal scores the lower positions win.
  bool keeps(A score) {
    const Bits<A> its = magnitude_bits(score);
    if (its != bits) [[likely]]
      return its > bits;
    if (ties == 0) return false;
    --ties;
    return true;
  }
};

/// expected_low: bits that most scores reach; only the speed depends on it.
template <class A>
[[nodiscard]] Threshold<A> kth_largest(const A* scores, std::size_t size, std::size_t k,
                                       Bits<A> expected_low);

/// The same for all candidates of a workspace. Uses work.narrowed as scratch.
template <class A>
[[nodiscard]] Threshold<A> kth_candidate(const Simd& simd, const Workspace<A>& work, std::size_t k);

}  // namespace sparccl::host
