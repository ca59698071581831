// One value to all of an array, by all threads of the grid.
#pragma once

#include "cuda/device.hpp"

namespace sparccl::cuda {

template <class T>
__device__ void fill(T* to, std::uint64_t count, T value) {
  constexpr unsigned each = 16 / sizeof(T);
  const std::uint64_t first = std::uint64_t{blockIdx.x} * blockDim.x + threadIdx.x;
  const std::uint64_t step = std::uint64_t{gridDim.x} * blockDim.x;
  const std::uint64_t past = reinterpret_cast<std::uintptr_t>(to) % 16 / sizeof(T);
  const std::uint64_t wanted = past == 0 ? 0 : each - past;
  const std::uint64_t head = wanted < count ? wanted : count;  // up to where 16 bytes begin
  const std::uint64_t whole = (count - head) / each;
  Vector<T, each> part;
#pragma unroll
  for (unsigned j = 0; j < each; ++j) part.at[j] = value;
  auto* const parts = reinterpret_cast<Vector<T, each>*>(to + head);
  for (std::uint64_t i = first; i < whole; i += step) store_once(parts + i, part);
  const std::uint64_t tail = head + whole * each;
  if (first < head) store(to + first, value);
  for (std::uint64_t i = tail + first; i < count; i += step) store(to + i, value);
}

}  // namespace sparccl::cuda
