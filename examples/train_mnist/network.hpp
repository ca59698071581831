// The shape of a multilayer perceptron, and its first parameters: the same for every backend.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

namespace mnist {

/// All weights and biases lie in one vector, and so does their gradient: what an optimiser and an
/// allreduce want. Per layer: [out][in] weights, then [out] biases.
struct Network {
  /// widths: of every layer, input first, at least two.
  explicit Network(std::vector<std::size_t> widths);

  [[nodiscard]] std::size_t layers() const noexcept { return offsets.size(); }
  [[nodiscard]] std::size_t inputs(std::size_t layer) const { return widths[layer]; }
  [[nodiscard]] std::size_t outputs(std::size_t layer) const { return widths[layer + 1]; }
  [[nodiscard]] std::size_t weights(std::size_t layer) const { return offsets[layer]; }
  [[nodiscard]] std::size_t biases(std::size_t layer) const {
    return offsets[layer] + inputs(layer) * outputs(layer);
  }
  [[nodiscard]] bool is_last(std::size_t layer) const { return layer + 1 == layers(); }

  std::vector<std::size_t> widths;
  std::vector<std::size_t> offsets;  ///< of each layer's weights among the parameters
  std::size_t parameter_count = 0;
};

/// He's weights, biases of zero. Equal seeds, equal bits. parameters: [parameter_count].
void initialise(const Network& network, std::uint64_t seed, std::span<float> parameters);

}  // namespace mnist
