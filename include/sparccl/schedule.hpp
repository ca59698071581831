// Schedules for SparseAllreduce::set_density: by the step, or by what the gradient does.
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

/// Accordion (arXiv 2010.16248, algorithm 1): sends much while the gradient's norm changes fast
/// (the paper's critical regimes) or the learning rate falls, and little otherwise. Looks once an
/// interval, which is ten epochs in the paper.
class Accordion {
 public:
  /// threshold: the least relative change of the norm that counts as fast; 0.5 in the paper.
  Accordion(double low_density, double high_density, double threshold = 0.5) noexcept
      : low_density_(low_density), high_density_(high_density), threshold_(threshold) {}

  /// Of the interval at hand; at first the high one.
  [[nodiscard]] double density() const noexcept { return critical_ ? high_density_ : low_density_; }

  /// An interval ends. norm: of the gradient summed over the interval (or of its last result: what
  /// the ranks share, such as what a call returned), >= 0, the same bits on every rank. A norm that
  /// is not finite counts as fast. Returns the density of the next interval.
  double end_interval(double norm, bool learning_rate_falls = false) noexcept {
    const double change = std::abs(norm - last_norm_);
    critical_ = learning_rate_falls || !has_last_ || !(change < threshold_ * last_norm_);
    last_norm_ = norm;
    has_last_ = true;
    return density();
  }

 private:
  double low_density_;
  double high_density_;
  double threshold_;
  double last_norm_ = 0;
  bool has_last_ = false;
  bool critical_ = true;
};

}  // namespace sparccl
