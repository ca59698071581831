#include "mlp.hpp"

#include <Eigen/Core>
#include <cmath>
#include <stdexcept>
#include <utility>

namespace mnist {
namespace {

using Index = Eigen::Index;
using Matrix = Eigen::Matrix<float, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;
using View = Eigen::Map<Matrix>;
using ConstView = Eigen::Map<const Matrix>;
using RowView = Eigen::Map<Eigen::RowVectorXf>;
using ConstRowView = Eigen::Map<const Eigen::RowVectorXf>;

Index as_index(std::size_t size) { return static_cast<Index>(size); }

void check_batch(std::size_t inputs, std::size_t labels, std::size_t width) {
  if (labels == 0 || inputs != labels * width) {
    throw std::invalid_argument("Mlp: expected inputs of [labels][input width], at least one");
  }
}

}  // namespace

Mlp::Mlp(const Network& network, std::uint64_t seed)
    : network_(network), parameters_(network.parameter_count), activations_(network.layers()) {
  initialise(network_, seed, parameters_);
}

void Mlp::forward(std::span<const float> inputs, std::size_t batch) {
  const Index rows = as_index(batch);
  const float* below = inputs.data();
  for (std::size_t l = 0; l < network_.layers(); ++l) {
    const Index in = as_index(network_.inputs(l));
    const Index out = as_index(network_.outputs(l));
    const float* weights = parameters_.data() + network_.weights(l);
    activations_[l].resize(batch * network_.outputs(l));
    View output(activations_[l].data(), rows, out);
    output.noalias() = ConstView(below, rows, in) * ConstView(weights, out, in).transpose();
    output.rowwise() += ConstRowView(weights + in * out, out);
    if (!network_.is_last(l)) output = output.cwiseMax(0.0F);
    below = activations_[l].data();
  }
}

double Mlp::backward(std::span<const float> inputs, std::span<const std::uint8_t> labels,
                     float scale, std::span<float> gradient) {
  check_batch(inputs.size(), labels.size(), network_.widths.front());
  if (gradient.size() != parameters_.size()) {
    throw std::invalid_argument("Mlp: expected a gradient as long as the parameters");
  }
  const std::size_t batch = labels.size();
  const Index rows = as_index(batch);
  forward(inputs, batch);

  // Softmax and cross-entropy: loss = log sum exp(z) - z[label], d loss / d z = softmax - one-hot.
  delta_ = activations_.back();
  View last(delta_.data(), rows, as_index(network_.widths.back()));
  double loss = 0;
  for (std::size_t i = 0; i < batch; ++i) {
    auto row = last.row(as_index(i));
    row.array() -= row.maxCoeff();
    const float at_label = row(labels[i]);
    row = row.array().exp();
    const float sum = row.sum();
    loss += std::log(sum) - at_label;
    row /= sum;
    row(labels[i]) -= 1.0F;
  }
  last *= scale;

  for (std::size_t l = network_.layers(); l-- > 0;) {
    const Index in = as_index(network_.inputs(l));
    const Index out = as_index(network_.outputs(l));
    const ConstView delta(delta_.data(), rows, out);
    const ConstView below(l == 0 ? inputs.data() : activations_[l - 1].data(), rows, in);
    float* const slope = gradient.data() + network_.weights(l);
    View(slope, out, in).noalias() = delta.transpose() * below;
    RowView(slope + in * out, out) = delta.colwise().sum();
    if (l == 0) break;
    delta_below_.resize(batch * network_.inputs(l));
    View delta_below(delta_below_.data(), rows, in);
    delta_below.noalias() = delta * ConstView(parameters_.data() + network_.weights(l), out, in);
    delta_below = (below.array() > 0.0F).select(delta_below, 0.0F);
    std::swap(delta_, delta_below_);
  }
  return loss;
}

std::size_t Mlp::count_correct(std::span<const float> inputs,
                               std::span<const std::uint8_t> labels) {
  check_batch(inputs.size(), labels.size(), network_.widths.front());
  forward(inputs, labels.size());
  const ConstView scores(activations_.back().data(), as_index(labels.size()),
                         as_index(network_.widths.back()));
  std::size_t correct = 0;
  for (std::size_t i = 0; i < labels.size(); ++i) {
    Index best = 0;
    scores.row(as_index(i)).maxCoeff(&best);
    correct += static_cast<std::size_t>(best) == labels[i] ? 1 : 0;
  }
  return correct;
}

}  // namespace mnist
