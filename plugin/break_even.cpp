// Where the fastest sparse path and the dense one take equally long.
#include <algorithm>
#include <cmath>

#include "cost_model.hpp"

namespace sparccl {
namespace {

/// Between low and high, both > 0: where sparse_wins(value) first changes. The paths are several,
/// so that it may change more than once, a factor apart.
template <class Wins>
BreakEven first_change(double low, double high, const Wins& sparse_wins) {
  constexpr double step = 1.2;
  const bool first = sparse_wins(low);
  double next = low;
  do {
    low = next;
    next = std::min(high, next * step);
  } while (next < high && sparse_wins(next) == first);
  if (sparse_wins(next) == first) {
    return {first ? BreakEven::Kind::sparse_wins : BreakEven::Kind::dense_wins, 0};
  }
  while (next > low * (1 + 1e-9)) {
    const double middle = std::sqrt(low) * std::sqrt(next);
    (sparse_wins(middle) == first ? low : next) = middle;
  }
  return {first ? BreakEven::Kind::at : BreakEven::Kind::above, low};
}

bool sparse_wins(const Costs& costs, const Workload& workload) {
  const Predictions predictions = predict(costs, workload);
  return predictions.of(predictions.best_sparse())->seconds() <
         predictions.of(Path::dense)->seconds();
}

}  // namespace

Costs at_bandwidth(const Costs& costs, double bytes_per_second) {
  Costs changed = costs;
  const double before = costs.network.seconds_per_byte;
  const double share = before > 0 ? costs.shared.seconds_per_byte / before : 1;
  changed.network.seconds_per_byte = 1 / bytes_per_second;
  changed.shared.seconds_per_byte = share / bytes_per_second;
  return changed;
}

BreakEven break_even_bandwidth(const Costs& costs, const Workload& workload) {
  if (workload.world_size < 2) return {BreakEven::Kind::dense_wins, 0};
  return first_change(1.0, 1e15, [&](double bytes_per_second) {
    return sparse_wins(at_bandwidth(costs, bytes_per_second), workload);
  });
}

BreakEven break_even_density(const Costs& costs, const Workload& workload) {
  const auto n = static_cast<double>(workload.count);
  const auto with_density = [&](double density) {
    Workload other = workload;
    other.k = std::clamp<std::size_t>(static_cast<std::size_t>(std::round(density * n)), 1,
                                      workload.count);
    return other;
  };
  return first_change(1 / n, 1.0,
                      [&](double density) { return sparse_wins(costs, with_density(density)); });
}

}  // namespace sparccl
