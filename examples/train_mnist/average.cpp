#include "average.hpp"

#include <chrono>
#include <cmath>
#include <utility>

namespace mnist {

using sparccl::DataType;
using sparccl::Reduction;

GradientAverage::GradientAverage(sparccl::Communicator communicator, std::size_t count,
                                 Method method, const Config& config)
    : communicator_(std::move(communicator)),
      count_(count),
      interval_(config.interval),
      density_(config.density) {
  if (method == Method::dense) return;
  sparccl::Options options;
  if (config.accordion > 0) {
    accordion_.emplace(config.density, config.accordion);
    since_.resize(count);
    density_ = accordion_->density();
  }
  options.density = density_;
  options.mu = method == Method::topk ? 0.0 : config.mu;
  options.wire = config.wire;
  options.reduction = Reduction::avg;
  sparse_.emplace(communicator_, "mlp", count, DataType::float32, options);
  if (config.warmup > 0) warmup_.emplace(config.density, config.warmup);
}

void GradientAverage::operator()(std::size_t step, float* gradient, sparccl::Stream stream) {
  if (sparse_) {
    if (warmup_) change_density((*warmup_)(step));
    (*sparse_)(gradient, gradient, 1.0, stream);
    if (accordion_) watch(step, gradient);
    return;
  }
  const auto begin = std::chrono::steady_clock::now();
  communicator_.all_reduce(gradient, gradient, count_, DataType::float32, Reduction::avg, stream);
  dense_seconds_ += std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
  ++dense_steps_;
}

void GradientAverage::change_density(double density) {
  if (density == density_) return;
  density_ = density;
  sparse_->set_density(density);
}

void GradientAverage::watch(std::size_t step, const float* mean) {
  for (std::size_t i = 0; i < count_; ++i) since_[i] += static_cast<double>(mean[i]);
  if ((step + 1) % interval_ != 0) return;
  double squares = 0;
  for (double& sum : since_) {
    squares += sum * sum;
    sum = 0;
  }
  change_density(accordion_->end_interval(std::sqrt(squares)));
}

std::uint64_t GradientAverage::wire_bytes() const {
  return sparse_ ? sparse_->stats().wire_bytes : dense_bytes();
}

std::uint64_t GradientAverage::dense_bytes() const {
  if (sparse_) return sparse_->stats().dense_bytes;
  const auto ranks = static_cast<std::uint64_t>(communicator_.size());
  return dense_steps_ * (2 * (ranks - 1) * count_ * sizeof(float) / ranks);
}

double GradientAverage::transfer_seconds() const {
  if (!sparse_) return dense_seconds_;
  const sparccl::StageSeconds seconds = sparse_->stats().seconds;
  return seconds.wait + seconds.exchange;
}

std::optional<sparccl::Stats> GradientAverage::stats() const {
  if (!sparse_) return std::nullopt;
  return sparse_->stats();
}

}  // namespace mnist
