// Warm-up schedules for SparseAllreduce::set_density.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>

namespace sparccl {

/// The exponential warm-up of Deep Gradient Compression (arXiv 1712.01887, section 3): the density
/// starts at 25 % and is divided by four at each stage until it reaches its final value
/// (25 %, 6.25 %, 1.56 %, 0.39 %, then `final_density`).
class DgcWarmup {
 public:
  /// steps_per_stage: one epoch in the paper; stages: 4 in the paper.
  DgcWarmup(double final_density, std::size_t steps_per_stage, std::size_t stages = 4) noexcept
      : final_density_(final_density), steps_per_stage_(steps_per_stage), stages_(stages) {}

  /// The density of a step, counted from 0. Pure: the same on every rank.
  [[nodiscard]] double operator()(std::size_t step) const noexcept {
    const std::size_t stage = steps_per_stage_ == 0 ? stages_ : step / steps_per_stage_;
    if (stage >= stages_) return final_density_;
    return std::max(final_density_, std::pow(0.25, static_cast<double>(stage + 1)));
  }

 private:
  double final_density_;
  std::size_t steps_per_stage_;
  std::size_t stages_;
};

}  // namespace sparccl
