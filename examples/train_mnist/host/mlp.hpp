// The network on the host.
#pragma once

#include <cstddef>
#include <cstdint>
#include <new>
#include <span>
#include <vector>

#include "network.hpp"

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

/// ReLU between the layers, softmax and cross-entropy at the end. No Eigen type in here, because
/// mlp.cpp is compiled for other instructions than its callers, and Eigen's types change their
/// layout with those.
class Mlp {
 public:
  Mlp(const Network& network, std::uint64_t seed);

  [[nodiscard]] std::span<float> parameters() noexcept { return parameters_; }

  /// For equal bits in equal runs, inputs and gradient are Floats, whole.
  /// inputs: [batch][widths.front()]; labels: [batch]; gradient: [parameter_count], overwritten
  /// with `scale` times the gradient of the summed loss. Returns the summed loss.
  double backward(std::span<const float> inputs, std::span<const std::uint8_t> labels, float scale,
                  std::span<float> gradient);

  /// How many of inputs [batch][widths.front()] are classified as labels [batch] say.
  std::size_t count_correct(std::span<const float> inputs, std::span<const std::uint8_t> labels);

 private:
  void forward(std::span<const float> inputs, std::size_t batch);

  Network network_;
  Floats parameters_;
  std::vector<Floats> activations_;  ///< [layer][batch][width], the input left out
  Floats delta_;                     ///< d loss / d layer output, before its ReLU
  Floats delta_below_;
};

}  // namespace mnist
