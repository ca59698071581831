// The k-th largest of many scores, by radix selection over the whole grid.
#pragma once

#include <bit>
#include <limits>

#include "cuda/block.hpp"
#include "cuda/workspace.hpp"

namespace sparccl::cuda {

struct KthShared {
  std::uint32_t counts[bins];
  WarpTotals totals;
  std::uint64_t bin;
  std::uint64_t rank;
};

template <class B>
struct Kth {
  bool found = false;
  B bits = 0;
  std::uint64_t ties = 0;  // how many of those equal to it belong to the k largest
};

/// One digit's bin of the rank-th largest, from the top; what is left of the rank within it. False
/// if all bins together hold fewer.
__device__ inline bool find_bin(const std::uint64_t* counts, std::uint64_t& rank,
                                std::uint64_t& bin, KthShared& shared) {
  const unsigned each = bins / blockDim.x;
  const unsigned top = bins - threadIdx.x * each;  // this thread's bins are [top - each, top)
  std::uint64_t sum = 0;
  for (unsigned i = 1; i <= each; ++i) sum += load_shared(counts + (top - i));
  std::uint64_t total = 0;
  std::uint64_t above = exclusive_sum(sum, shared.totals, total);
  if (total < rank) return false;
  if (above < rank && above + sum >= rank) {
    unsigned i = 1;
    for (std::uint64_t here = 0; i <= each; ++i, above += here) {
      here = load_shared(counts + (top - i));
      if (above + here >= rank) break;
    }
    shared.bin = top - i;
    shared.rank = rank - above;
  }
  __syncthreads();
  bin = shared.bin;
  rank = shared.rank;
  return true;
}

/// items(visit): calls visit(bits) for each of this thread's items; all threads of the grid call it
/// as often. Of the items at or above `low`, the k-th largest; not found if there are fewer. shift:
/// of the first digit: 2^shift values a bin, all that is above in the last. round: see Header.
template <class B, class Items>
__device__ Kth<B> kth_largest(Items items, std::uint64_t k, B low, int shift, std::uint32_t& round,
                              std::uint64_t* counts, std::uint32_t* arrived, KthShared& shared) {
  B high = std::numeric_limits<B>::max();
  std::uint64_t rank = k;
  for (;; ++round) {
    for (unsigned i = threadIdx.x; i < bins; i += blockDim.x) shared.counts[i] = 0;
    __syncthreads();
    items([&](B bits) {
      if (bits < low || bits > high) return;
      const B bin = (bits - low) >> shift;
      atomic_add(&shared.counts[bin < bins ? static_cast<std::uint32_t>(bin) : bins - 1], 1u);
    });
    __syncthreads();
    std::uint64_t* const mine = counts + round % histograms * bins;
    std::uint64_t* const next = counts + (round + 1) % histograms * bins;
    for (unsigned i = threadIdx.x; i < bins; i += blockDim.x) {
      if (shared.counts[i] != 0) atomic_add(mine + i, std::uint64_t{shared.counts[i]});
      // Whoever read it did so before the barrier of the last round.
      if (blockIdx.x == 0) store(next + i, std::uint64_t{0});
    }
    grid_barrier(arrived);
    std::uint64_t bin = 0;
    if (!find_bin(mine, rank, bin, shared)) {
      ++round;
      return {};
    }
    low += static_cast<B>(bin) << shift;
    if (bin != bins - 1) {
      const B last = low + ((B{1} << shift) - 1);
      high = last < high ? last : high;
    }
    if (low == high) {
      ++round;
      return {true, low, rank};
    }
    const int width = static_cast<int>(std::bit_width(static_cast<B>(high - low)));
    constexpr int digit = std::bit_width(bins) - 1;
    shift = width > digit ? width - digit : 0;
  }
}

}  // namespace sparccl::cuda
