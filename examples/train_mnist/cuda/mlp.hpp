// The network on a GPU: parameters, gradient and images stay in its memory.
#pragma once

#include <array>
#include <vector>

#include "backend.hpp"
#include "cuda/kernels.hpp"
#include "cuda/owners.hpp"

namespace mnist::cuda {

/// On the present device. Nothing waits unless backend.hpp says so, but the first calls, which
/// allocate, and a backward() that is `slots` steps ahead of the device.
class Mlp final : public Model {
 public:
  /// Enqueues all work on stream, which outlives it.
  Mlp(const Network& network, const Data& data, std::uint64_t seed, cudaStream_t stream);

  void backward(std::span<const std::size_t> images, float scale) override;
  float* gradient() noexcept override { return gradient_.data(); }
  void descend(float rate) override;
  void begin_local() override;
  void end_local(float rate) override;
  double take_loss() override;
  std::size_t count_correct(std::size_t first, std::size_t last) override;
  std::vector<float> parameters() override;

 private:
  static constexpr std::size_t slots = 4;

  /// Page-locked memory that may be on its way to the device.
  struct Slot {
    PinnedArray<std::uint32_t> images;
    Event sent;
  };

  struct Images {
    Images(const Dataset& data, cudaStream_t stream);
    DeviceArray<std::uint8_t> pixels;  ///< [image][columns]
    DeviceArray<std::uint8_t> labels;  ///< [image]
  };

  void reserve(std::size_t rows);
  void send(std::span<const std::size_t> images);
  void forward(std::size_t rows);
  [[nodiscard]] Shape output_of(std::size_t layer, std::size_t rows) const {
    return {rows, network_.outputs(layer)};
  }

  Network network_;
  cudaStream_t stream_;
  Blas blas_;
  Images train_;
  Images test_;
  DeviceArray<float> parameters_;
  DeviceArray<float> gradient_;
  DeviceArray<float> before_;  ///< the parameters where local steps began; empty without any

  // For at most rows_ images at a time.
  std::size_t rows_ = 0;
  DeviceArray<float> inputs_;
  std::vector<DeviceArray<float>> activations_;  ///< [layer][row][width]; the last become its delta
  DeviceArray<float> delta_;                     ///< [row][width] of hidden layers, two in turn
  DeviceArray<float> delta_below_;
  DeviceArray<std::uint8_t> hits_;

  std::array<Slot, slots> slots_;
  std::size_t steps_ = 0;
  DeviceArray<std::uint32_t> images_;  ///< of this step
  DeviceArray<double> losses_;         ///< by row, since the last take_loss()
};

}  // namespace mnist::cuda
