// What the training asks of a place to compute: a network there, an average there, and a clock.
#pragma once

#include <sparccl/sparccl.hpp>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "idx.hpp"
#include "network.hpp"
#include "ranks/world.hpp"

namespace mnist {

/// The network and the images, in the backend's memory. Calls take effect in order; those that do
/// not say that they wait may return before.
class Model {
 public:
  virtual ~Model() = default;

  /// gradient = `scale` times the gradient of the loss summed over these training images.
  virtual void backward(std::span<const std::size_t> images, float scale) = 0;

  /// [parameter_count] f32 in the backend's memory, for an allreduce in place.
  [[nodiscard]] virtual float* gradient() noexcept = 0;

  /// parameters -= rate * gradient
  virtual void descend(float rate) = 0;

  /// Local steps begin: what descend() does from here on is this rank's alone, until end_local()
  /// takes it back and leaves gradient = (parameters before - after) / rate: the sum of what was
  /// descended.
  virtual void begin_local() = 0;
  virtual void end_local(float rate) = 0;

  /// The loss summed over all images since the last call. Waits.
  [[nodiscard]] virtual double take_loss() = 0;

  /// How many of the test images [first, last) are classified as their labels say. Waits.
  [[nodiscard]] virtual std::size_t count_correct(std::size_t first, std::size_t last) = 0;

  /// A copy in host memory. Waits.
  [[nodiscard]] virtual std::vector<float> parameters() = 0;
};

/// Evaluations are not timed.
struct StepSeconds {
  double compute = 0;              ///< batch, forward, backward, update
  std::optional<double> wait;      ///< for the slowest rank; none: a part of allreduce
  double allreduce = 0;            ///< the whole call, sparsification included
  std::optional<double> transfer;  ///< the part of allreduce that moves bytes and waits for them

  [[nodiscard]] double total() const noexcept { return compute + wait.value_or(0) + allreduce; }
};

/// Called between the parts of every step.
class StepClock {
 public:
  virtual ~StepClock() = default;
  virtual void begin() = 0;
  /// May wait for the other ranks, so that the allreduce is not charged for slow ones.
  virtual void gradient_done() = 0;
  virtual void average_done() = 0;
  virtual void update_done() = 0;
  /// Of all steps so far, on this rank; without transfer, which the average knows. Waits.
  [[nodiscard]] virtual StepSeconds sums() = 0;
};

/// One rank's. Models and clocks end before their backend.
class Backend {
 public:
  virtual ~Backend() = default;

  /// Its tensors are in the backend's memory, its calls are enqueued on stream().
  [[nodiscard]] virtual const sparccl::Communicator& communicator() const noexcept = 0;
  [[nodiscard]] virtual sparccl::Stream stream() const noexcept = 0;

  /// Equal seeds give equal parameters on every backend. data must outlive the model.
  [[nodiscard]] virtual std::unique_ptr<Model> model(const Network& network, const Data& data,
                                                     std::uint64_t seed) = 0;
  [[nodiscard]] virtual std::unique_ptr<StepClock> clock() = 0;

  /// Collective: a few numbers in host memory. Waits.
  virtual void all_reduce(void* values, std::size_t count, sparccl::DataType type,
                          sparccl::Reduction reduction) = 0;

  /// What computes, where that is not the host itself: "4 ranks on 4 GPUs, NVIDIA H100, ...".
  [[nodiscard]] virtual std::string device() const = 0;
};

/// Collective, as all that follows.
[[nodiscard]] std::unique_ptr<Backend> host_backend(World& world);

/// Throws Reported where a rank has no GPU. Not to be called where cuda_is_missing() says why.
[[nodiscard]] std::unique_ptr<Backend> cuda_backend(World& world);

/// Empty, or why this program has no CUDA backend and how to build one that has.
[[nodiscard]] std::string cuda_is_missing();

}  // namespace mnist
