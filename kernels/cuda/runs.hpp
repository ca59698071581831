// Adjacent entries of one thread, moved 16 bytes at a time.
#pragma once

#include "cuda/device.hpp"

namespace sparccl::cuda {

/// `count` adjacent entries by accesses of 16 bytes.
template <class T, unsigned count>
__device__ void load_run(const T* from, T* to) {
  constexpr unsigned each = 16 / sizeof(T);
  static_assert(count % each == 0);
#pragma unroll
  for (unsigned i = 0; i < count; i += each) {
    const auto part = load_once(reinterpret_cast<const Vector<T, each>*>(from + i));
#pragma unroll
    for (unsigned j = 0; j < each; ++j) to[i + j] = part.at[j];
  }
}
template <class T, unsigned count>
__device__ void store_run(T* to, const T* from) {
  constexpr unsigned each = 16 / sizeof(T);
#pragma unroll
  for (unsigned i = 0; i < count; i += each) {
    Vector<T, each> part;
#pragma unroll
    for (unsigned j = 0; j < each; ++j) part.at[j] = from[i + j];
    store_once(reinterpret_cast<Vector<T, each>*>(to + i), part);
  }
}

}  // namespace sparccl::cuda
