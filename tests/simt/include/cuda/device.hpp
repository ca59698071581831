// The stand-in's side of kernels/cuda/device.hpp: the same functions, for the CPU, checked.
#pragma once

#include <cuda_runtime.h>

#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <type_traits>

#include "standin/kernel.h"

namespace sparccl::cuda {

inline constexpr unsigned warp_size = 32;
inline constexpr unsigned all_lanes = 0xffffffffu;

inline unsigned lane() { return threadIdx.x % warp_size; }
inline unsigned warp() { return threadIdx.x / warp_size; }
inline unsigned warps() { return blockDim.x / warp_size; }

namespace detail {
template <class T>
T exchange(simt::detail::WarpOp op, T value, unsigned argument) {
  static_assert(std::is_arithmetic_v<T> && sizeof(T) <= 8, "CUDA shuffles numbers up to 8 bytes");
  std::uint64_t bits = 0;
  std::memcpy(&bits, &value, sizeof(T));
  bits = simt::detail::exchange(op, bits, sizeof(T), argument);
  std::memcpy(&value, &bits, sizeof(T));
  return value;
}
}  // namespace detail

inline bool any(bool predicate) {
  return simt::detail::vote(simt::detail::WarpOp::any, predicate) != 0;
}
inline unsigned ballot(bool predicate) {
  return simt::detail::vote(simt::detail::WarpOp::ballot, predicate);
}
template <class T>
T shuffle(T value, unsigned from) {
  return detail::exchange(simt::detail::WarpOp::shuffle, value, from);
}
template <class T>
T shuffle_up(T value, unsigned delta) {
  return detail::exchange(simt::detail::WarpOp::shuffle_up, value, delta);
}
template <class T>
T shuffle_xor(T value, unsigned mask) {
  return detail::exchange(simt::detail::WarpOp::shuffle_xor, value, mask);
}
inline void warp_barrier() { simt::detail::warp_barrier(); }

inline unsigned popcount(unsigned x) { return static_cast<unsigned>(std::popcount(x)); }
inline unsigned lowest_bit(unsigned x) {  // of 0: as __ffs(0) - 1
  return x == 0 ? 0xffffffffu : static_cast<unsigned>(std::countr_zero(x));
}

template <class T>
T& shared_memory() {
  static_assert(std::is_trivially_default_constructible_v<T> && alignof(T) <= 16);
  return *static_cast<T*>(simt::detail::shared_memory(sizeof(T)));
}

namespace detail {
template <class T>
constexpr void require_one_access() {
  static_assert(
      std::is_trivially_copyable_v<T> && std::has_single_bit(sizeof(T)) && sizeof(T) <= 16,
      "loads and stores move 1, 2, 4, 8 or 16 bytes");
}
/// One word to or from memory that host threads use meanwhile.
template <class Word>
void read_word(void* to, const void* from) {
  const Word word = __atomic_load_n(static_cast<const Word*>(from), __ATOMIC_ACQUIRE);
  std::memcpy(to, &word, sizeof word);
}
template <class Word>
void write_word(void* to, const void* from) {
  Word word;
  std::memcpy(&word, from, sizeof word);
  __atomic_store_n(static_cast<Word*>(to), word, __ATOMIC_RELEASE);
}
template <std::size_t bytes>
using WordOf = std::conditional_t<
    bytes == 1, std::uint8_t,
    std::conditional_t<bytes == 2, std::uint16_t,
                       std::conditional_t<bytes == 4, std::uint32_t, std::uint64_t>>>;
}  // namespace detail

template <class T>
T load(const T* from) {
  detail::require_one_access<T>();
  using Word = detail::WordOf<sizeof(T)>;
  const simt::detail::Place place = simt::detail::to_read(from, sizeof(T));
  T value;
  if (!place.on_host) {
    std::memcpy(&value, place.at, sizeof(T));
  } else {
    for (std::size_t i = 0; i < sizeof(T); i += sizeof(Word)) {
      detail::read_word<Word>(reinterpret_cast<std::byte*>(&value) + i,
                              static_cast<const std::byte*>(place.at) + i);
    }
  }
  return value;
}
template <class T>
void store(T* to, T value) {
  detail::require_one_access<T>();
  using Word = detail::WordOf<sizeof(T)>;
  const simt::detail::Place place = simt::detail::to_write(to, sizeof(T));
  if (!place.on_host) {
    std::memcpy(place.at, &value, sizeof(T));
  } else {
    for (std::size_t i = 0; i < sizeof(T); i += sizeof(Word)) {
      detail::write_word<Word>(static_cast<std::byte*>(place.at) + i,
                               reinterpret_cast<const std::byte*>(&value) + i);
    }
  }
}
template <class T>
T load_once(const T* from) {
  return load(from);
}
template <class T>
T load_shared(const T* from) {
  const T value = load(from);
  simt::detail::pause_sometimes();  // whoever reads what others write may be overtaken by them
  return value;
}
template <class T>
void store_once(T* to, T value) {
  store(to, value);
}

template <class T, std::size_t count>
struct alignas(sizeof(T) * count) Vector {
  T at[count];
};

inline std::uint32_t atomic_add(std::uint32_t* at, std::uint32_t value) {
  auto* place = static_cast<std::uint32_t*>(simt::detail::to_update(at, sizeof *at));
  return __atomic_fetch_add(place, value, __ATOMIC_ACQ_REL);
}
inline std::uint64_t atomic_add(std::uint64_t* at, std::uint64_t value) {
  auto* place = static_cast<std::uint64_t*>(simt::detail::to_update(at, sizeof *at));
  return __atomic_fetch_add(place, value, __ATOMIC_ACQ_REL);
}
inline std::uint64_t atomic_min(std::uint64_t* at, std::uint64_t value) {
  auto* place = static_cast<std::uint64_t*>(simt::detail::to_update(at, sizeof *at));
  std::uint64_t before = __atomic_load_n(place, __ATOMIC_ACQUIRE);
  while (value < before && !__atomic_compare_exchange_n(place, &before, value, false,
                                                        __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE)) {
  }
  return before;
}
inline std::uint32_t atomic_or(std::uint32_t* at, std::uint32_t value) {
  auto* place = static_cast<std::uint32_t*>(simt::detail::to_update(at, sizeof *at));
  return __atomic_fetch_or(place, value, __ATOMIC_ACQ_REL);
}
inline std::uint32_t compare_and_swap_system(std::uint32_t* at, std::uint32_t expected,
                                             std::uint32_t desired) {
  auto* place = static_cast<std::uint32_t*>(simt::detail::to_update(at, sizeof *at));
  __atomic_compare_exchange_n(place, &expected, desired, false, __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE);
  return expected;
}

// A grid runs on one thread, and what hosts see is written with release: nothing to order.
inline void fence() {}
inline void fence_system() {}

inline void grid_barrier(std::uint32_t* arrived) { simt::detail::grid_barrier(arrived); }

}  // namespace sparccl::cuda
