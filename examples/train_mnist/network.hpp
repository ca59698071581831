// The shape of a network, and its first parameters: the same for every backend.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

namespace mnist {

/// Of an image, or of what a convolution makes of it: [rows][columns][channels] in memory.
struct Plane {
  std::size_t rows = 1;
  std::size_t columns = 1;
  std::size_t channels = 1;

  [[nodiscard]] std::size_t size() const noexcept { return rows * columns * channels; }
};

/// 5 x 5, zeros around the edge, every second row and column: halves the sides, rounded up.
/// [out.channels][5][5][in.channels] weights, then [out.channels] biases. A ReLU comes after it.
struct Convolution {
  static constexpr std::size_t side = 5;
  static constexpr std::size_t stride = 2;

  [[nodiscard]] std::size_t patch() const noexcept { return side * side * in.channels; }
  [[nodiscard]] std::size_t positions() const noexcept { return out.rows * out.columns; }
  [[nodiscard]] std::size_t biases() const noexcept { return weights + patch() * out.channels; }

  Plane in, out;
  std::size_t weights = 0;  ///< where they begin among the parameters
};

/// Convolutions, maybe none, and a multilayer perceptron on what they make. All weights and biases
/// lie in one vector, and so does their gradient: what an optimiser and an allreduce want. Per
/// layer of the perceptron, after the convolutions: [out][in] weights, then [out] biases.
struct Network {
  /// A perceptron alone. widths: of every layer, input first, at least two.
  explicit Network(std::vector<std::size_t> widths);

  /// channels: of each convolution. widths: of the perceptron's layers after its input.
  Network(const Plane& image, const std::vector<std::size_t>& channels,
          const std::vector<std::size_t>& widths);

  /// Entries of an image.
  [[nodiscard]] std::size_t image_size() const noexcept {
    return convolutions.empty() ? widths.front() : convolutions.front().in.size();
  }
  [[nodiscard]] std::size_t layers() const noexcept { return offsets.size(); }
  [[nodiscard]] std::size_t inputs(std::size_t layer) const { return widths[layer]; }
  [[nodiscard]] std::size_t outputs(std::size_t layer) const { return widths[layer + 1]; }
  [[nodiscard]] std::size_t weights(std::size_t layer) const { return offsets[layer]; }
  [[nodiscard]] std::size_t biases(std::size_t layer) const {
    return offsets[layer] + inputs(layer) * outputs(layer);
  }
  [[nodiscard]] bool is_last(std::size_t layer) const { return layer + 1 == layers(); }

  std::vector<Convolution> convolutions;
  std::vector<std::size_t> widths;   ///< of the perceptron, its input first
  std::vector<std::size_t> offsets;  ///< of each of its layers' weights among the parameters
  std::size_t parameter_count = 0;

 private:
  void add_perceptron(std::vector<std::size_t> of_layers);
};

/// "784-512-256-10", or "28x28x1, 14x14x8, 7x7x16, 784-64-10".
[[nodiscard]] std::string describe(const Network& network);

/// He's weights, biases of zero. Equal seeds, equal bits. parameters: [parameter_count].
void initialise(const Network& network, std::uint64_t seed, std::span<float> parameters);

}  // namespace mnist
