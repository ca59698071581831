// What was sent last step, and how it damps scores.
#pragma once

#include "cuda/block.hpp"
#include "cuda/workspace.hpp"

namespace sparccl::cuda {

template <class A>
struct History {
  const std::uint64_t* starts;  // [blocks + 1]
  const std::uint16_t* offsets;
  const A* ratios;
  bool damps;
  Distortion distortion;
  A mu;

  History(const Shape<A>& shape, const Memory& memory, const Workspace<A>& work)
      : starts(work.history_starts),
        offsets(memory.sent_offsets),
        ratios(static_cast<const A*>(memory.sent_ratios)),
        damps(shape.damps),
        distortion(shape.distortion),
        mu(shape.mu) {}

  /// Bits of |a| d for the entry at `position`.
  [[nodiscard]] __device__ Bits<A> score(std::uint64_t position, A a) const {
    const Bits<A> magnitude = magnitude_bits(a);
    if (!damps) return magnitude;
    const std::uint64_t block = position / block_size;
    const std::uint64_t first = load(starts + block);
    const std::uint64_t last = load(starts + block + 1);
    if (first == last) return magnitude;
    const auto offset = static_cast<std::uint16_t>(position % block_size);
    const std::uint64_t found = lower_bound(offsets, first, last, offset);
    if (found == last || load(offsets + found) != offset) return magnitude;
    return damped(a, found);
  }

  /// The same for an entry that is known to be the history's.
  [[nodiscard]] __device__ Bits<A> damped(A a, std::uint64_t index) const {
    const A d = damping(distortion, load(ratios + index), a, mu);
    return magnitude_bits((a < A(0) ? -a : a) * d);
  }
};

}  // namespace sparccl::cuda
