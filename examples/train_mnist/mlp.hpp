// A multilayer perceptron: ReLU between the layers, softmax and cross-entropy at the end.
#pragma once

#include <cstddef>
#include <cstdint>
#include <new>
#include <span>
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

/// All weights and biases lie in one vector, and so does their gradient: what an optimiser and an
/// allreduce want. No Eigen type in here, because mlp.cpp is compiled for other instructions than
/// its callers, and Eigen's types change their layout with those.
class Mlp {
 public:
  /// widths: of every layer, input first, at least two. He-initialised; equal seeds, equal weights.
  Mlp(std::vector<std::size_t> widths, std::uint64_t seed);

  [[nodiscard]] std::span<float> parameters() noexcept { return parameters_; }
  [[nodiscard]] std::size_t parameter_count() const noexcept { return parameters_.size(); }

  /// For equal bits in equal runs, inputs and gradient are Floats, whole.
  /// inputs: [batch][widths.front()]; labels: [batch]; gradient: [parameter_count()], overwritten
  /// with `scale` times the gradient of the summed loss. Returns the summed loss.
  double backward(std::span<const float> inputs, std::span<const std::uint8_t> labels, float scale,
                  std::span<float> gradient);

  /// How many of inputs [batch][widths.front()] are classified as labels [batch] say.
  std::size_t count_correct(std::span<const float> inputs, std::span<const std::uint8_t> labels);

 private:
  void forward(std::span<const float> inputs, std::size_t batch);

  std::vector<std::size_t> widths_;
  std::vector<std::size_t> offsets_;  ///< of each layer's weights in parameters_
  Floats parameters_;                 ///< per layer: [out][in] weights, [out] biases
  std::vector<Floats> activations_;   ///< [layer][batch][width], the input left out
  Floats delta_;                      ///< d loss / d layer output, before its ReLU
  Floats delta_below_;
};

}  // namespace mnist
