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
};
template <class A>
[[nodiscard]] Threshold<A> kth_largest(const A* scores, std::size_t size, std::size_t k);

/// Keeps the k candidates of largest score in blocks [0, blocks), in position order; of equal scores
/// the lower positions. Returns the bits of the smallest score kept. size >= k.
template <class A>
Bits<A> keep_largest(const Workspace<A>& work, std::size_t blocks, std::size_t k);

}  // namespace sparccl::host
