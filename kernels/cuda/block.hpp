// What the threads of a block do together.
#pragma once

#include "cuda/device.hpp"

namespace sparccl::cuda {

/// One partial sum a warp, in shared memory.
using WarpTotals = std::uint64_t[32];

/// The sum over the threads before this one, and over all. Every thread takes part. Shared memory
/// written before is seen after.
__device__ inline std::uint64_t exclusive_sum(std::uint64_t value, WarpTotals& totals,
                                              std::uint64_t& total) {
  std::uint64_t sum = value;
  for (unsigned delta = 1; delta < warp_size; delta *= 2) {
    const std::uint64_t below = shuffle_up(sum, delta);
    if (lane() >= delta) sum += below;
  }
  if (lane() == warp_size - 1) totals[warp()] = sum;
  __syncthreads();
  std::uint64_t before = 0;
  total = 0;
  for (unsigned w = 0; w < warps(); ++w) {
    if (w == warp()) before = total;
    total += totals[w];
  }
  __syncthreads();  // totals may be used again
  return before + sum - value;
}

/// The sum over all threads.
__device__ inline std::uint64_t block_sum(std::uint64_t value, WarpTotals& totals) {
  for (unsigned mask = warp_size / 2; mask > 0; mask /= 2) value += shuffle_xor(value, mask);
  if (lane() == 0) totals[warp()] = value;
  __syncthreads();
  std::uint64_t total = 0;
  for (unsigned w = 0; w < warps(); ++w) total += totals[w];
  __syncthreads();
  return total;
}

/// The first index in [first, last) for which `before` does not hold; those where it does come
/// first.
template <class Before>
__device__ std::uint64_t partition_point(std::uint64_t first, std::uint64_t last, Before before) {
  while (first < last) {
    const std::uint64_t middle = first + (last - first) / 2;
    if (before(middle)) {
      first = middle + 1;
    } else {
      last = middle;
    }
  }
  return first;
}

/// The first index in [first, last) whose value is not below `wanted`; values ascend.
template <class T>
__device__ std::uint64_t lower_bound(const T* values, std::uint64_t first, std::uint64_t last,
                                     T wanted) {
  return partition_point(first, last, [&](std::uint64_t i) { return load(values + i) < wanted; });
}
/// The same for values that other blocks write during this launch.
template <class T>
__device__ std::uint64_t lower_bound_shared(const T* values, std::uint64_t first,
                                            std::uint64_t last, T wanted) {
  return partition_point(first, last,
                         [&](std::uint64_t i) { return load_shared(values + i) < wanted; });
}

}  // namespace sparccl::cuda
