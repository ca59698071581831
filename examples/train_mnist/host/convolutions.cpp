#include "convolutions.hpp"

#include <algorithm>
#include <utility>

#include "matrix.hpp"

namespace mnist {
namespace {

constexpr std::size_t side = Convolution::side;
constexpr std::size_t stride = Convolution::stride;
constexpr std::size_t edge = side / 2;

/// Calls run(first entry of the input, first entry of the patches, entries) for every run of a
/// patch's row that lies within the image.
template <class Run>
void for_each_run(const Convolution& layer, Run run) {
  const auto& [rows, columns, channels] = layer.in;
  std::size_t patch = 0;
  for (std::size_t i = 0; i < layer.out.rows; ++i) {
    for (std::size_t j = 0; j < layer.out.columns; ++j, patch += layer.patch()) {
      const std::size_t left = std::max(stride * j, edge) - edge;
      const std::size_t right = std::min(stride * j + edge + 1, columns);
      for (std::size_t of_patch = 0; of_patch < side; ++of_patch) {
        const std::size_t row = stride * i + of_patch;  // and `edge` above it
        if (row < edge || row - edge >= rows) continue;
        const std::size_t skipped = left + edge - stride * j;
        run(((row - edge) * columns + left) * channels,
            patch + (of_patch * side + skipped) * channels, (right - left) * channels);
      }
    }
  }
}

void gather(const Convolution& layer, const float* image, Floats& patches) {
  patches.assign(layer.positions() * layer.patch(), 0.0F);
  for_each_run(layer, [&](std::size_t from, std::size_t to, std::size_t count) {
    std::copy_n(image + from, count, patches.data() + to);
  });
}

void scatter_add(const Convolution& layer, const Floats& patches, float* image) {
  std::fill_n(image, layer.in.size(), 0.0F);
  for_each_run(layer, [&](std::size_t to, std::size_t from, std::size_t count) {
    for (std::size_t i = 0; i < count; ++i) image[to + i] += patches[from + i];
  });
}

}  // namespace

Convolutions::Convolutions(std::vector<Convolution> layers)
    : layers_(std::move(layers)), activations_(layers_.size()) {}

std::span<const float> Convolutions::forward(std::span<const float> images, std::size_t batch,
                                             const float* parameters) {
  images_ = images;
  batch_ = batch;
  std::span<const float> below = images;
  for (std::size_t l = 0; l < layers_.size(); ++l) {
    const Convolution& layer = layers_[l];
    const Index positions = as_index(layer.positions());
    const Index patch = as_index(layer.patch());
    const Index out = as_index(layer.out.channels);
    activations_[l].resize(batch * layer.out.size());
    for (std::size_t i = 0; i < batch; ++i) {
      gather(layer, below.data() + i * layer.in.size(), patches_);
      View output(activations_[l].data() + i * layer.out.size(), positions, out);
      output.noalias() = ConstView(patches_.data(), positions, patch) *
                         ConstView(parameters + layer.weights, out, patch).transpose();
      output.rowwise() += ConstRowView(parameters + layer.biases(), out);
      output = output.cwiseMax(0.0F);
    }
    below = activations_[l];
  }
  return below;
}

void Convolutions::backward(Floats& delta, const float* parameters, float* gradient) {
  for (std::size_t l = layers_.size(); l-- > 0;) {
    const Convolution& layer = layers_[l];
    const Index positions = as_index(layer.positions());
    const Index patch = as_index(layer.patch());
    const Index out = as_index(layer.out.channels);
    const std::span<const float> below =
        l == 0 ? images_ : std::span<const float>(activations_[l - 1]);
    View slope(gradient + layer.weights, out, patch);
    RowView bias_slope(gradient + layer.biases(), out);
    slope.setZero();
    bias_slope.setZero();
    if (l > 0) delta_below_.resize(batch_ * layer.in.size());
    for (std::size_t i = 0; i < batch_; ++i) {
      const ConstView delta_out(delta.data() + i * layer.out.size(), positions, out);
      const float* const image = below.data() + i * layer.in.size();
      gather(layer, image, patches_);
      slope.noalias() += delta_out.transpose() * ConstView(patches_.data(), positions, patch);
      bias_slope += delta_out.colwise().sum();
      if (l == 0) continue;
      delta_patches_.resize(patches_.size());
      View(delta_patches_.data(), positions, patch).noalias() =
          delta_out * ConstView(parameters + layer.weights, out, patch);
      float* const delta_image = delta_below_.data() + i * layer.in.size();
      scatter_add(layer, delta_patches_, delta_image);
      for (std::size_t j = 0; j < layer.in.size(); ++j) {
        if (image[j] <= 0.0F) delta_image[j] = 0.0F;  // the ReLU below
      }
    }
    if (l > 0) std::swap(delta, delta_below_);
  }
}

}  // namespace mnist
