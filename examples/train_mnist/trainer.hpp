// Trains one network with one method of averaging gradients, and measures it.
#pragma once

#include <sparccl/sparccl.hpp>

#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <vector>

#include "backend.hpp"
#include "config.hpp"
#include "idx.hpp"

namespace mnist {

struct CurvePoint {
  std::size_t step = 0;      ///< steps taken
  std::uint64_t bytes = 0;   ///< sent by one rank so far
  double training_loss = 0;  ///< mean over the images since the last point; NaN: none yet
  double test_accuracy = 0;  ///< share of the test images, 0 to 1
};

struct MethodResult {
  Method method = Method::dense;
  std::size_t steps = 0;
  double wire_bytes_per_step = 0;       ///< per rank
  double dense_bytes_per_step = 0;      ///< per rank
  StepSeconds seconds;                  ///< per step, mean over the ranks
  std::optional<sparccl::Stats> stats;  ///< of rank 0
  std::vector<CurvePoint> curve;        ///< the last point is the result
};

/// Throws std::runtime_error where data, batch and number of ranks do not go together.
void check(const Config& config, const Data& data, int ranks);

/// How often gradients are averaged.
[[nodiscard]] std::size_t steps_of(const Config& config, const Data& data);

/// For these images.
[[nodiscard]] Network network_of(const Config& config, const Data& data);

/// After a step: how many are done, and the last point of the curve.
using Watcher = std::function<void(std::size_t done, const CurvePoint& last)>;

/// Collective. Equal seeds give equal initial weights to every method and every number of ranks,
/// and without shards equal batches, too. Throws std::runtime_error when the ranks' weights have
/// come apart, sparccl::Error when a call fails.
[[nodiscard]] MethodResult train(Backend& backend, Method method, const Config& config,
                                 const Data& data, const Watcher& watcher);

}  // namespace mnist
