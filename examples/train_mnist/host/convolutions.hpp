// The convolutions of a network on the host, image by image, each as a product of matrices.
#pragma once

#include <cstddef>
#include <span>
#include <vector>

#include "floats.hpp"
#include "network.hpp"

namespace mnist {

class Convolutions {
 public:
  explicit Convolutions(std::vector<Convolution> layers);

  [[nodiscard]] bool empty() const noexcept { return layers_.empty(); }

  /// images: [batch][image], which must stay until backward(); parameters: the network's. Returns
  /// what the last ReLU lets through, [batch][out], until the next call; of no convolutions,
  /// images.
  std::span<const float> forward(std::span<const float> images, std::size_t batch,
                                 const float* parameters);

  /// After forward() of the same batch. delta: [batch][out], d loss / d what comes out before its
  /// ReLU; overwritten. gradient: the network's; the part of the convolutions is overwritten.
  void backward(Floats& delta, const float* parameters, float* gradient);

 private:
  std::vector<Convolution> layers_;
  std::span<const float> images_;
  std::size_t batch_ = 0;
  std::vector<Floats> activations_;  ///< [layer][batch][out]
  Floats patches_;                   ///< [positions][patch] of one image
  Floats delta_patches_;
  Floats delta_below_;
};

}  // namespace mnist
