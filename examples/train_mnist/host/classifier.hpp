// The network on the host.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "convolutions.hpp"
#include "floats.hpp"
#include "network.hpp"

namespace mnist {

/// ReLU between the layers, softmax and cross-entropy at the end. No Eigen type in here, because
/// classifier.cpp is compiled for other instructions than its callers, and Eigen's types change
/// their layout with those.
class Classifier {
 public:
  Classifier(const Network& network, std::uint64_t seed);

  [[nodiscard]] std::span<float> parameters() noexcept { return parameters_; }

  /// For equal bits in equal runs, inputs and gradient are Floats, whole.
  /// inputs: [batch][image_size()]; labels: [batch]; gradient: [parameter_count], overwritten
  /// with `scale` times the gradient of the summed loss. Returns the summed loss.
  double backward(std::span<const float> inputs, std::span<const std::uint8_t> labels, float scale,
                  std::span<float> gradient);

  /// How many of inputs [batch][image_size()] are classified as labels [batch] say.
  std::size_t count_correct(std::span<const float> inputs, std::span<const std::uint8_t> labels);

 private:
  void forward(std::span<const float> inputs, std::size_t batch);

  Network network_;
  Convolutions convolutions_;
  Floats parameters_;
  std::span<const float> features_;  ///< [batch][width], what the perceptron looks at
  std::vector<Floats> activations_;  ///< [layer][batch][width], the input left out
  Floats delta_;                     ///< d loss / d layer output, before its ReLU
  Floats delta_below_;
};

}  // namespace mnist
