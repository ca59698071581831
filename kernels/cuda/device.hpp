// What kernels use of a GPU beyond threadIdx, blockIdx, blockDim, gridDim and __syncthreads():
// warps, atomics, memory, the grid's barrier. One of two: tests/simt has the same functions for the
// CPU.
//
// Global memory is read and written through load() and store() alone: there, the stand-in checks
// bounds, finds reads of what nothing wrote, and counts bytes.
#pragma once

#include <cuda_runtime.h>

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <type_traits>

namespace sparccl::cuda {

inline constexpr unsigned warp_size = 32;
inline constexpr unsigned all_lanes = 0xffffffffu;

__device__ inline unsigned lane() { return threadIdx.x % warp_size; }
__device__ inline unsigned warp() { return threadIdx.x / warp_size; }
__device__ inline unsigned warps() { return blockDim.x / warp_size; }

// Warps. Every lane takes part in each of these.

__device__ inline bool any(bool predicate) { return __any_sync(all_lanes, predicate) != 0; }
__device__ inline unsigned ballot(bool predicate) { return __ballot_sync(all_lanes, predicate); }
template <class T>
__device__ inline T shuffle(T value, unsigned from) {
  return __shfl_sync(all_lanes, value, static_cast<int>(from));
}
/// The value of the lane `delta` below; lanes that have none below keep their own.
template <class T>
__device__ inline T shuffle_up(T value, unsigned delta) {
  return __shfl_up_sync(all_lanes, value, delta);
}
template <class T>
__device__ inline T shuffle_xor(T value, unsigned mask) {
  return __shfl_xor_sync(all_lanes, value, static_cast<int>(mask));
}
/// Orders shared memory within a warp.
__device__ inline void warp_barrier() { __syncwarp(); }

__device__ inline unsigned popcount(unsigned x) { return static_cast<unsigned>(__popc(x)); }
__device__ inline unsigned lowest_bit(unsigned x) { return static_cast<unsigned>(__ffs(x)) - 1; }

// Blocks.

/// The block's shared memory, of which a kernel has one struct. Holds anything when a block starts.
/// Launch with the same T.
template <class T>
__device__ inline T& shared_memory() {
  static_assert(std::is_trivially_default_constructible_v<T> && alignof(T) <= 16);
  extern __shared__ __align__(16) unsigned char raw[];
  return *reinterpret_cast<T*>(raw);
}

// Global memory. T: trivially copyable, its size a power of two up to 16, aligned to its size.

template <class T>
struct BitsOf {
  using type = std::conditional_t<
      sizeof(T) == 16, uint4,
      std::conditional_t<
          sizeof(T) == 8, uint2,
          std::conditional_t<sizeof(T) == 4, unsigned,
                             std::conditional_t<sizeof(T) == 2, unsigned short, unsigned char>>>>;
};

template <class T>
__device__ inline T load(const T* from) {
  using Bits = typename BitsOf<T>::type;
  static_assert(sizeof(T) == sizeof(Bits) && std::is_trivially_copyable_v<T>);
  const Bits bits = *reinterpret_cast<const Bits*>(from);
  T value;
  memcpy(&value, &bits, sizeof(T));
  return value;
}
template <class T>
__device__ inline void store(T* to, T value) {
  using Bits = typename BitsOf<T>::type;
  static_assert(sizeof(T) == sizeof(Bits) && std::is_trivially_copyable_v<T>);
  Bits bits;
  memcpy(&bits, &value, sizeof(T));
  *reinterpret_cast<Bits*>(to) = bits;
}

/// The same for what is touched once in a pass and should leave the caches first.
template <class T>
__device__ inline T load_once(const T* from) {
  using Bits = typename BitsOf<T>::type;
  static_assert(sizeof(T) == sizeof(Bits) && std::is_trivially_copyable_v<T>);
  const Bits bits = __ldcs(reinterpret_cast<const Bits*>(from));
  T value;
  memcpy(&value, &bits, sizeof(T));
  return value;
}
template <class T>
__device__ inline void store_once(T* to, T value) {
  using Bits = typename BitsOf<T>::type;
  static_assert(sizeof(T) == sizeof(Bits) && std::is_trivially_copyable_v<T>);
  Bits bits;
  memcpy(&bits, &value, sizeof(T));
  __stcs(reinterpret_cast<Bits*>(to), bits);
}

/// `count` adjacent values that move as one access.
template <class T, std::size_t count>
struct alignas(sizeof(T) * count) Vector {
  T at[count];
};

// Atomics, relaxed, on global or shared memory. Each returns what was there before.

__device__ inline std::uint32_t atomic_add(std::uint32_t* at, std::uint32_t value) {
  return atomicAdd(at, value);
}
__device__ inline std::uint64_t atomic_add(std::uint64_t* at, std::uint64_t value) {
  return atomicAdd(reinterpret_cast<unsigned long long*>(at), value);
}
__device__ inline std::uint64_t atomic_min(std::uint64_t* at, std::uint64_t value) {
  return atomicMin(reinterpret_cast<unsigned long long*>(at), value);
}
__device__ inline std::uint32_t atomic_or(std::uint32_t* at, std::uint32_t value) {
  return atomicOr(at, value);
}

// Between blocks of one grid, and between device and host.

/// Global memory written by this thread before is seen by whoever sees what it writes after.
__device__ inline void fence() { __threadfence(); }

/// The same for the host and other devices.
__device__ inline void fence_system() { __threadfence_system(); }

/// Reads past the first-level cache what other blocks write during this launch.
template <class T>
__device__ inline T load_shared(const T* from) {
  using Bits = typename BitsOf<T>::type;
  static_assert(sizeof(T) == sizeof(Bits) && std::is_trivially_copyable_v<T>);
  const Bits bits = __ldcg(reinterpret_cast<const Bits*>(from));
  T value;
  memcpy(&value, &bits, sizeof(T));
  return value;
}

/// Sets *at to `desired` if it is `expected`; returns what was there before. Seen by the host.
__device__ inline std::uint32_t compare_and_swap_system(std::uint32_t* at, std::uint32_t expected,
                                                        std::uint32_t desired) {
  return atomicCAS_system(at, expected, desired);
}

/// All threads of all blocks of a cooperative launch meet; what they wrote to global memory before
/// is seen by all after. arrived: [1] in global memory, for this purpose alone; 0 before the first
/// launch of all, never reset. All blocks must have been launched together (launch_cooperative).
__device__ inline void grid_barrier(std::uint32_t* arrived) {
  __syncthreads();
  if (threadIdx.x == 0) {
    // The first block of a round adds so much that the top bit flips when the last has come.
    const std::uint32_t others = gridDim.x - 1;
    const std::uint32_t add = blockIdx.x == 0 ? 0x80000000u - others : 1u;
    __threadfence();
    const std::uint32_t before = atomicAdd(arrived, add);
    while (((before ^ *reinterpret_cast<volatile std::uint32_t*>(arrived)) & 0x80000000u) == 0) {
    }
    __threadfence();
  }
  __syncthreads();
}

}  // namespace sparccl::cuda
