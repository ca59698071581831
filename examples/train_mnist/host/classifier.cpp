#include "classifier.hpp"

#include <cmath>
#include <stdexcept>
#include <utility>

#include "matrix.hpp"

namespace mnist {
namespace {

void check_batch(std::size_t inputs, std::size_t labels, std::size_t width) {
  if (labels == 0 || inputs != labels * width) {
    throw std::invalid_argument("Classifier: expected inputs of [labels][image], at least one");
  }
}

}  // namespace

Classifier::Classifier(const Network& network, std::uint64_t seed)
    : network_(network),
      convolutions_(network.convolutions),
      parameters_(network.parameter_count),
      activations_(network.layers()) {
  initialise(network_, seed, parameters_);
}

void Classifier::forward(std::span<const float> inputs, std::size_t batch) {
  const Index rows = as_index(batch);
  features_ = convolutions_.forward(inputs, batch, parameters_.data());
  const float* below = features_.data();
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

double Classifier::backward(std::span<const float> inputs, std::span<const std::uint8_t> labels,
                            float scale, std::span<float> gradient) {
  check_batch(inputs.size(), labels.size(), network_.image_size());
  if (gradient.size() != parameters_.size()) {
    throw std::invalid_argument("Classifier: expected a gradient as long as the parameters");
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
    const ConstView below(l == 0 ? features_.data() : activations_[l - 1].data(), rows, in);
    float* const slope = gradient.data() + network_.weights(l);
    View(slope, out, in).noalias() = delta.transpose() * below;
    RowView(slope + in * out, out) = delta.colwise().sum();
    if (l == 0 && convolutions_.empty()) break;
    delta_below_.resize(batch * network_.inputs(l));
    View delta_below(delta_below_.data(), rows, in);
    delta_below.noalias() = delta * ConstView(parameters_.data() + network_.weights(l), out, in);
    delta_below = (below.array() > 0.0F).select(delta_below, 0.0F);
    std::swap(delta_, delta_below_);
  }
  convolutions_.backward(delta_, parameters_.data(), gradient.data());
  return loss;
}

std::size_t Classifier::count_correct(std::span<const float> inputs,
                                      std::span<const std::uint8_t> labels) {
  check_batch(inputs.size(), labels.size(), network_.image_size());
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
