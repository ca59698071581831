// Numbers in the memory that Eigen wants.
#pragma once

#include <cstddef>
#include <new>
#include <vector>

namespace mnist {

/// Memory that begins at a cache line. Eigen sums what lies before the first aligned address apart,
/// so that with other memory, equal runs would differ in the last bit.
template <class T>
struct AlignedAllocator {
  using value_type = T;
  static constexpr std::align_val_t alignment{64};

  AlignedAllocator() = default;
  template <class U>
  explicit(false) AlignedAllocator(const AlignedAllocator<U>&) noexcept {}

  T* allocate(std::size_t count) {
    return static_cast<T*>(::operator new(count * sizeof(T), alignment));
  }
  void deallocate(T* memory, std::size_t) noexcept { ::operator delete(memory, alignment); }
  friend bool operator==(AlignedAllocator, AlignedAllocator) noexcept { return true; }
};

using Floats = std::vector<float, AlignedAllocator<float>>;

}  // namespace mnist
