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
/// if all bins together hold fewer. count(bin): known to all threads.
template <class Count>
__device__ bool find_bin(Count count, std::uint64_t& rank, std::uint64_t& bin, KthShared& shared) {
  const unsigned each = bins / blockDim.x;
  const unsigned top = bins - threadIdx.x * each;  // this thread's bins are [top - each, top)
  std::uint64_t sum = 0;
  for (unsigned i = 1; i <= each; ++i) sum += count(top - i);
  std::uint64_t total = 0;
  std::uint64_t above = exclusive_sum(sum, shared.totals, total);
  if (total < rank) return false;
  if (above < rank && above + sum >= rank) {
    unsigned i = 1;
    for (std::uint64_t here = 0; i <= each; ++i, above += here) {
      here = count(top - i);
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

/// The bits among which the one that is looked for lies.
template <class B>
struct KthRange {
  B low;
  int shift;  // 2^shift values a bin, all that is above in the last
  B high = std::numeric_limits<B>::max();

  [[nodiscard]] __device__ bool holds(B bits) const { return bits >= low && bits <= high; }
  [[nodiscard]] __device__ std::uint32_t bin_of(B bits) const {
    const B bin = (bits - low) >> shift;
    return bin < bins ? static_cast<std::uint32_t>(bin) : bins - 1;
  }
  /// To what lies in the bin. True when that is one value.
  __device__ bool narrow(std::uint64_t bin) {
    low += static_cast<B>(bin) << shift;
    if (bin != bins - 1) {
      const B last = low + ((B{1} << shift) - 1);
      high = last < high ? last : high;
    }
    const int width = static_cast<int>(std::bit_width(static_cast<B>(high - low)));
    constexpr int digit = std::bit_width(bins) - 1;
    shift = width > digit ? width - digit : 0;
    return low == high;
  }
};

/// By all threads of a block: this block's counts of a digit.
template <class B, class Items>
__device__ void count_digit(Items& items, const KthRange<B>& range, KthShared& shared) {
  for (unsigned i = threadIdx.x; i < bins; i += blockDim.x) shared.counts[i] = 0;
  __syncthreads();
  items([&](B bits) {
    if (range.holds(bits)) atomic_add(&shared.counts[range.bin_of(bits)], 1u);
  });
  __syncthreads();
}

/// items(visit): calls visit(bits) for each of this thread's items; all threads of the grid call it
/// as often. Of the items at or above `low`, the k-th largest; not found if there are fewer. shift:
/// of the first digit: 2^shift values a bin, all that is above in the last. round: see Header.
template <class B, class Items>
__device__ Kth<B> kth_largest(Items items, std::uint64_t k, B low, int shift, std::uint32_t& round,
                              std::uint64_t* counts, std::uint32_t* arrived, KthShared& shared) {
  KthRange<B> range{low, shift};
  std::uint64_t rank = k;
  for (;; ++round) {
    count_digit(items, range, shared);
    std::uint64_t* const mine = counts + round % histograms * bins;
    std::uint64_t* const next = counts + (round + 1) % histograms * bins;
    for (unsigned i = threadIdx.x; i < bins; i += blockDim.x) {
      if (shared.counts[i] != 0) atomic_add(mine + i, std::uint64_t{shared.counts[i]});
      // Whoever read it did so before the barrier of the last round.
      if (blockIdx.x == 0) store(next + i, std::uint64_t{0});
    }
    grid_barrier(arrived);
    std::uint64_t bin = 0;
    const auto count = [&](unsigned i) { return load_shared(mine + i); };
    if (!find_bin(count, rank, bin, shared)) {
      ++round;
      return {};
    }
    if (range.narrow(bin)) {
      ++round;
      return {true, range.low, rank};
    }
  }
}

/// The same for the items of one block. There must be k.
template <class B, class Items>
__device__ Kth<B> kth_largest_of_block(Items items, std::uint64_t k, int shift, KthShared& shared) {
  KthRange<B> range{B{0}, shift};
  std::uint64_t rank = k;
  for (;;) {
    count_digit(items, range, shared);
    std::uint64_t bin = 0;
    const auto count = [&](unsigned i) { return std::uint64_t{shared.counts[i]}; };
    find_bin(count, rank, bin, shared);
    if (range.narrow(bin)) return {true, range.low, rank};
  }
}

}  // namespace sparccl::cuda
