#include "cost_model.hpp"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstdint>
#include <cstdio>

#include "stages.hpp"

namespace sparccl {
namespace {

/// Messages that follow one another where each rank hears of all others: by doubling.
double rounds(double ranks) {
  return ranks < 2 ? 0.0
                   : static_cast<double>(std::bit_width(static_cast<std::uint64_t>(ranks) - 1));
}

/// Stages were measured with float32, and are bound by memory: gradient in, residual in and out.
double pass_factor(DataType type) {
  const double width = static_cast<double>(size_of(type));
  const double residual = type == DataType::float64 ? 8 : 4;
  return (width + 2 * residual) / 12;
}

double result_factor(DataType type) { return static_cast<double>(size_of(type)) / 4; }

double density_of(const Workload& workload) {
  return static_cast<double>(workload.k) / static_cast<double>(workload.count);
}

/// Up to the exchange: n entries looked at, k taken.
double prepare(const StageCosts& costs, const Workload& workload, double count, double k) {
  return costs.pass.at(count) * pass_factor(workload.type) + costs.selected.at(k / count) * k;
}

double finish(const StageCosts& costs, const Workload& workload, double count, double received) {
  return costs.result.at(count) * result_factor(workload.type) +
         costs.merged.at(density_of(workload)) * received;
}

/// All-gather of `bytes` from each of `ranks`; returns with them in the fields that it is made of.
void gather(Prediction& into, const Link& link, double ranks, double bytes) {
  into.latency += rounds(ranks) * link.latency;
  into.transfer += (ranks - 1) * bytes * link.per_byte();
  into.bytes += (ranks - 1) * bytes;
}

double tensor_bytes(const Workload& workload) {
  return static_cast<double>(workload.count) * static_cast<double>(size_of(workload.type));
}

/// The call's own exchange, in which all ranks hear of each other.
double meet(const Costs& costs, const Workload& workload) {
  return rounds(workload.world_size) * costs.network.latency;
}

/// A ring that nothing else holds up.
Prediction ideal_dense(const Costs& costs, const Workload& workload) {
  const double ranks = workload.world_size;
  Prediction p;
  p.bytes = dense_bytes(workload);
  p.latency = meet(costs, workload) + 2 * rounds(ranks) * costs.network.latency;
  p.transfer = p.bytes * costs.network.per_byte();
  p.compute = (ranks - 1) / ranks * tensor_bytes(workload) * costs.stages.reduction;
  return p;
}

/// Seconds as measured by workload.world_size ranks, but for bytes and messages that take another
/// time now.
double measured_dense(const Costs& costs, const Workload& workload) {
  const Curve& curve = costs.dense.curve;
  const double sent = dense_bytes(workload);
  const double fixed = curve.points.front().seconds;
  const double each = std::max(0.0, curve.at(tensor_bytes(workload)) - fixed) / sent;
  const double then = costs.dense.seconds_per_byte;
  const double now = costs.network.seconds_per_byte;
  const Link before{.seconds_per_byte = then};
  const double changed =
      each >= then ? root_of_squares(now, before.copies_of(each)) : each * now / then;
  const double slower = costs.network.latency - costs.dense.latency;
  const double messages = 2 * rounds(workload.world_size) * slower;
  return meet(costs, workload) + std::max(0.0, fixed + messages) + sent * changed;
}

/// The measurement, and at another number of ranks the ideal times what the measurement was of it:
/// ranks that share cores, or a library that is no ring, are so there too. What of it is latency is
/// a guess.
Prediction dense(const Costs& costs, const Workload& workload) {
  if (workload.world_size == 1) return {};
  Prediction p = ideal_dense(costs, workload);
  if (costs.dense.curve.points.empty() || costs.dense.ranks < 2) return p;
  Workload measured = workload;
  measured.world_size = costs.dense.ranks;
  double total = measured_dense(costs, measured);
  if (measured.world_size != workload.world_size) {
    total *= p.seconds() / ideal_dense(costs, measured).seconds();
  }
  p.transfer = std::min(p.transfer, total);
  p.compute = std::min(p.compute, total - p.transfer);
  p.latency = total - p.transfer - p.compute;
  return p;
}

Prediction allgather(const Costs& costs, const Workload& workload) {
  const double ranks = workload.world_size;
  const auto n = static_cast<double>(workload.count);
  const auto k = static_cast<double>(workload.k);
  Prediction p;
  p.latency = rounds(ranks) * costs.network.latency;
  p.compute = prepare(costs.stages, workload, n, k) + finish(costs.stages, workload, n, ranks * k);
  gather(p, costs.network, ranks, allgather_bytes(workload));
  return p;
}

Prediction split(const Costs& costs, const Workload& workload) {
  const double ranks = workload.world_size;
  const auto n = static_cast<double>(workload.count);
  const auto k = static_cast<double>(workload.k);
  const SplitBytes slot = split_bytes(workload);
  Prediction p;
  p.latency =
      (rounds(ranks) + 1) * costs.shared.latency + (ranks - 1) * costs.shared.seconds_per_message;
  p.transfer = (ranks - 1) * slot.sent * costs.shared.per_byte();
  p.bytes = (ranks - 1) * slot.sent;
  const double each =
      costs.stages.split > 0 ? costs.stages.split : costs.stages.merged.at(density_of(workload));
  p.compute = prepare(costs.stages, workload, n, k) + finish(costs.stages, workload, n, 0) +
              each * split_entries(workload);
  gather(p, costs.network, ranks, slot.reduced);
  return p;
}

std::optional<Prediction> hierarchical(const Costs& costs, const Workload& workload) {
  const int each = workload.ranks_per_node;
  if (each < 2 || workload.world_size % each != 0 || workload.world_size / each < 2 ||
      workload.count < static_cast<std::size_t>(each)) {
    return std::nullopt;
  }
  const double inside = each;
  const double nodes = static_cast<double>(workload.world_size) / inside;
  const auto parts = static_cast<std::size_t>(each);
  Workload shard = workload;
  shard.count = std::max<std::size_t>(1, workload.count / parts);
  shard.k = std::clamp<std::size_t>(workload.k / parts, 1, shard.count);
  shard.world_size = workload.world_size / each;
  const auto n = static_cast<double>(shard.count);
  const auto k = static_cast<double>(shard.k);
  const double bytes = (inside - 1) * n * static_cast<double>(size_of(workload.type));
  Prediction p;
  p.latency =
      rounds(workload.world_size) * costs.network.latency + 2 * rounds(inside) * costs.node.latency;
  p.transfer = 2 * bytes * costs.node.per_byte();
  p.compute = bytes * costs.stages.reduction + prepare(costs.stages, workload, n, k) +
              finish(costs.stages, workload, n, nodes * k);
  gather(p, costs.shared, nodes, allgather_bytes(shard));
  return p;
}

std::string told(const Predictions& predictions, Path path) {
  return show_seconds(predictions.of(path)->seconds()) + " " + name_of(path);
}

}  // namespace

double Curve::slope() const noexcept {
  if (points.empty()) return 0;
  const Point last = points.back();
  if (points.size() == 1) return last.seconds / last.size;
  const auto from = [&](const Point& point) {
    return (last.seconds - point.seconds) / (last.size - point.size);
  };
  return std::max({0.0, from(points[points.size() - 2]), from(points.front())});
}

double Curve::at(double size) const noexcept {
  if (points.empty()) return 0;
  if (size <= points.front().size) {
    return points.front().seconds;  // what is fixed dominates there
  }
  if (size >= points.back().size) {
    if (points.size() == 1) return slope() * size;
    return points.back().seconds + slope() * (size - points.back().size);
  }
  const auto next = std::find_if(points.begin(), points.end(),
                                 [&](const Point& point) { return point.size > size; });
  const Point a = *(next - 1);
  const double share = (size - a.size) / (next->size - a.size);
  return a.seconds + share * (next->seconds - a.seconds);
}

const std::optional<Prediction>& Predictions::of(Path path) const {
  return all.at(
      static_cast<std::size_t>(std::find(paths.begin(), paths.end(), path) - paths.begin()));
}

Path Predictions::best_sparse() const {
  Path best = Path::allgather;
  for (const Path path : {Path::split, Path::hierarchical}) {
    if (of(path) && of(path)->seconds() < of(best)->seconds()) best = path;
  }
  return best;
}

/// A range gets what the ranks have there, k entries on average, and hands on at most 2.5 k / P.
double split_entries(const Workload& workload) noexcept {
  const double ranks = workload.world_size;
  const auto n = static_cast<double>(workload.count);
  const auto k = static_cast<double>(workload.k);
  return k + std::min({ranks * k, 2.5 * k + 4 * ranks, n});
}

Predictions predict(const Costs& costs, const Workload& workload) {
  Predictions predictions;
  predictions.all = {dense(costs, workload), allgather(costs, workload), std::nullopt,
                     hierarchical(costs, workload)};
  if (workload.split) predictions.all[2] = split(costs, workload);
  return predictions;
}

Choice choose(const Predictions& predictions) {
  const Path sparse = predictions.best_sparse();
  const double dense_seconds = predictions.of(Path::dense)->seconds();
  const double sparse_seconds = predictions.of(sparse)->seconds();
  const Path chosen = sparse_seconds < worthwhile * dense_seconds ? sparse : Path::dense;
  std::vector<Path> others;
  for (const Path path : paths) {
    if (path != chosen && predictions.of(path)) others.push_back(path);
  }
  std::stable_sort(others.begin(), others.end(), [&](Path a, Path b) {
    return predictions.of(a)->seconds() < predictions.of(b)->seconds();
  });
  Choice choice;
  choice.path = chosen;
  choice.reason = std::string(name_of(chosen)) + ": " +
                  show_seconds(predictions.of(chosen)->seconds()) + " predicted, against ";
  for (std::size_t i = 0; i < others.size(); ++i) {
    choice.reason += (i == 0 ? "" : ", ") + told(predictions, others[i]);
  }
  if (chosen == Path::dense && sparse_seconds < dense_seconds) {
    choice.reason += "; a sparse path is taken where it saves a tenth";
  }
  return choice;
}

Choice choose(const Costs& costs, const Workload& workload) {
  return choose(predict(costs, workload));
}

std::string show_seconds(double seconds) {
  const char* unit = "s";
  double value = seconds;
  if (seconds < 1e-3) {
    value = 1e6 * seconds;
    unit = "us";
  } else if (seconds < 1) {
    value = 1e3 * seconds;
    unit = "ms";
  }
  char text[64];
  const int digits = value < 10 ? 1 : 0;
  static_cast<void>(std::snprintf(text, sizeof(text), "%.*f %s", digits, value, unit));
  return text;
}

}  // namespace sparccl
