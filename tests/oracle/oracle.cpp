#include "oracle.hpp"

#include <algorithm>
#include <cmath>
#include <iterator>
#include <limits>
#include <numeric>

#include "number.hpp"

namespace sparccl::test {

Positions largest_scores(std::span<const double> scores, std::size_t k) {
  Positions order(scores.size());
  std::iota(order.begin(), order.end(), std::uint64_t{0});
  std::stable_sort(order.begin(), order.end(),
                   [&](std::uint64_t i, std::uint64_t j) { return scores[i] > scores[j]; });
  order.resize(std::min(k, order.size()));
  std::sort(order.begin(), order.end());
  return order;
}

Oracle::Oracle(const Shape& shape) : shape_(shape), states_(index(shape.ranks)) {
  for (State& state : states_) state.residual.assign(shape.count, 0.0);
}

double Oracle::rounded(double x) const { return round_to(accumulator_of(shape_.type), x); }

Vector Oracle::accumulate(const State& state, const Vector& gradient, double scale) const {
  Vector a(shape_.count);
  if (accumulator_of(shape_.type) == DataType::float32) {  // the fast way to round to float
    for (std::size_t j = 0; j < a.size(); ++j) {
      const double product = static_cast<double>(static_cast<float>(scale * gradient[j]));
      a[j] = static_cast<double>(static_cast<float>(state.residual[j] + product));
    }
  } else {
    for (std::size_t j = 0; j < a.size(); ++j) a[j] = state.residual[j] + scale * gradient[j];
  }
  return a;
}

Vector Oracle::score(const State& state, const Vector& a) const {
  Vector scores(a.size());
  for (std::size_t j = 0; j < a.size(); ++j) scores[j] = std::fabs(a[j]);
  if (shape_.mu == 0) return scores;
  for (std::size_t i = 0; i < state.positions.size(); ++i) {
    const std::size_t j = state.positions[i];
    const double below = shape_.distortion == Distortion::previous ? state.own[i] : a[j];
    if (below == 0) continue;
    const double others = rounded(state.total[i] - state.own[i]);
    const double ratio = rounded(1.0 + rounded(others / below));
    const double damped = std::tanh(std::fabs(ratio) / rounded(shape_.mu));
    if (!std::isnan(damped)) scores[j] *= damped;
  }
  return scores;
}

void Oracle::follow(const Vector& a, const Vector& scores, const Vector& observed,
                    Positions& picked) {
  Positions seen;
  for (std::size_t j = 0; j < a.size(); ++j) {
    if (observed[j] != a[j]) seen.push_back(j);
  }
  // An entry whose value on the wire is zero leaves no trace in the residual, nor in the history.
  Positions visible;
  std::copy_if(picked.begin(), picked.end(), std::back_inserter(visible),
               [&](std::uint64_t j) { return to_wire(shape_.wire, a[j]) != 0; });
  if (seen == visible || seen.size() != visible.size()) return;

  Positions swapped, damped;
  std::set_symmetric_difference(seen.begin(), seen.end(), visible.begin(), visible.end(),
                                std::back_inserter(swapped));
  double least = std::numeric_limits<double>::infinity();
  for (const std::uint64_t j : picked) least = std::min(least, scores[j]);
  const double slack = 8 * ulp(accumulator_of(shape_.type), least);
  bool any_damped = false;
  for (const std::uint64_t j : swapped) {
    if (std::fabs(scores[j] - least) > slack) return;
    any_damped = any_damped || scores[j] != std::fabs(a[j]);
  }
  if (!any_damped) return;  // plain magnitudes are exact: no excuse
  Positions followed;
  std::set_symmetric_difference(picked.begin(), picked.end(), swapped.begin(), swapped.end(),
                                std::back_inserter(followed));
  picked = std::move(followed);
  ++near_ties_;
}

Oracle::Outcome Oracle::step(std::span<const Vector> gradients, double loss_scale,
                             std::span<const Vector> observed) {
  const double scale = rounded(1.0 / loss_scale);
  std::vector<Vector> accumulated;
  for (std::size_t p = 0; p < states_.size(); ++p) {
    accumulated.push_back(accumulate(states_[p], gradients[p], scale));
  }
  Outcome outcome;
  for (const Vector& a : accumulated) {
    outcome.finite = outcome.finite &&
                     std::all_of(a.begin(), a.end(), [](double x) { return std::isfinite(x); });
  }
  if (!outcome.finite) {
    outcome.result.assign(shape_.count, std::numeric_limits<double>::quiet_NaN());
    return outcome;
  }

  Vector total(shape_.count, 0.0);
  std::vector<bool> touched(shape_.count, false);
  for (std::size_t p = 0; p < states_.size(); ++p) {
    Vector& a = accumulated[p];
    const Vector scores = score(states_[p], a);
    Positions picked = largest_scores(scores, shape_.k);
    if (!observed.empty()) follow(a, scores, observed[p], picked);
    Vector sent;
    for (const std::uint64_t j : picked) {
      const double v = to_wire(shape_.wire, a[j]);
      sent.push_back(v);
      a[j] = rounded(a[j] - v);
      total[j] = rounded(total[j] + v);
      touched[j] = true;
    }
    outcome.positions.push_back(std::move(picked));
    outcome.values.push_back(std::move(sent));
  }
  for (std::size_t p = 0; p < states_.size(); ++p) {
    State& state = states_[p];
    state.residual = std::move(accumulated[p]);
    state.positions = outcome.positions[p];
    state.own = outcome.values[p];
    state.total.clear();
    for (const std::uint64_t j : state.positions) state.total.push_back(total[j]);
  }
  outcome.result.assign(shape_.count, 0.0);
  const double divisor = shape_.reduction == Reduction::avg ? shape_.ranks : 1;
  for (std::size_t j = 0; j < shape_.count; ++j) {
    if (!touched[j]) continue;
    outcome.result[j] = round_to(shape_.type, rounded(total[j] / divisor));
    outcome.sent_by_any.push_back(j);
  }
  return outcome;
}

}  // namespace sparccl::test
