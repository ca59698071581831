#include "plan_report.hpp"

#include <algorithm>
#include <cstdio>

#include <nlohmann/json.hpp>

#include "calibration.hpp"
#include "units.hpp"

namespace sparccl::bench {
namespace {

using Json = nlohmann::ordered_json;

template <class... Values>
std::string format(const char* how, const Values&... values) {
  char text[512];
  static_cast<void>(std::snprintf(text, sizeof(text), how, values...));
  return text;
}

double density_of(const Workload& workload) {
  return static_cast<double>(workload.k) / static_cast<double>(workload.count);
}

std::string show_ranks(int ranks) {
  return std::to_string(ranks) + (ranks == 1 ? " rank" : " ranks");
}

/// Whether the model has the dense path from a measurement of the whole, whose "latency" is then
/// what neither bytes nor sums explain.
bool dense_is_measured(const Costs& costs) {
  return !costs.dense.curve.points.empty() && costs.dense.ranks >= 2;
}

std::string show_nodes(const Workload& workload) {
  const int each = std::max(1, workload.ranks_per_node);
  if (each == 1) return "one a node";
  if (each == workload.world_size) return "on one node";
  return std::to_string(workload.world_size / each) + " nodes of " + std::to_string(each);
}

std::string verdict(const Predictions& predictions) {
  const Path best = predictions.best_sparse();
  const double dense = predictions.of(Path::dense)->seconds();
  const double sparse = predictions.of(best)->seconds();
  if (choose(predictions).path != Path::dense) {
    return format("yes: %s is %.1f x faster than dense\n", name_of(best), dense / sparse);
  }
  if (sparse < dense) {
    return format("no: %s would be %.2f x faster than dense, less than it takes to be worth it\n",
                  name_of(best), dense / sparse);
  }
  return format("no: dense is %.1f x faster than %s, the best sparse path\n", sparse / dense,
                name_of(best));
}

std::string words_of(const BreakEven& bandwidth) {
  switch (bandwidth.kind) {
    case BreakEven::Kind::at:
      return "sparse is faster than dense below " + show_bandwidth(bandwidth.value);
    case BreakEven::Kind::above:
      return "sparse is faster than dense above " + show_bandwidth(bandwidth.value) +
             ", where fewer messages weigh more than its bytes, which are more";
    case BreakEven::Kind::sparse_wins: return "sparse is faster than dense at any bandwidth";
    case BreakEven::Kind::dense_wins: break;
  }
  return "dense is faster than sparse at any bandwidth";
}

std::string words_of_density(const BreakEven& density) {
  switch (density.kind) {
    case BreakEven::Kind::at:
      return format("sparse is faster than dense below a density of %.3g %%", 100 * density.value);
    case BreakEven::Kind::above:
      return format("sparse is faster than dense above a density of %.3g %%", 100 * density.value);
    case BreakEven::Kind::sparse_wins: return "sparse is faster than dense at any density";
    case BreakEven::Kind::dense_wins: break;
  }
  return "dense is faster than sparse at any density";
}

Json json_of(const BreakEven& even, const char* unit) {
  static constexpr const char* kinds[] = {"at", "above", "sparse_wins", "dense_wins"};
  Json json = {{"kind", kinds[static_cast<int>(even.kind)]}};
  if (even.kind == BreakEven::Kind::at || even.kind == BreakEven::Kind::above)
    json[unit] = even.value;
  return json;
}

}  // namespace

std::string table_of(const Costs& costs, const Workload& workload) {
  const Predictions predictions = predict(costs, workload);
  std::string text = format("%zu entries of %s, %zu of them sent (density %.3g %%) as %s, %s, %s\n",
                            workload.count, name_of(workload.type), workload.k,
                            100 * density_of(workload), name_of(workload.wire),
                            show_ranks(workload.world_size).c_str(), show_nodes(workload).c_str());
  if (workload.world_size == 1) {
    return text +
           "no: one rank has nothing to exchange, dense or sparse; expected 2 ranks or more\n";
  }
  text += format(
      "network: %s, latency %s; stages of the %s backend\n\n"
      "%-13s %10s %10s %10s %10s   %s\n",
      show_bandwidth(1 / costs.network.per_byte()).c_str(),
      show_seconds(costs.network.latency).c_str(), costs.machine.backend.c_str(), "path", "time",
      "compute", "latency", "transfer", "sent by a rank");
  const bool measured = dense_is_measured(costs);
  for (const Path path : paths) {
    const auto& p = predictions.of(path);
    if (!p) continue;
    const char* const mark = measured && path == Path::dense ? "*" : " ";
    text += format("%-13s %10s %10s %10s%s%10s   %s\n", name_of(path),
                   show_seconds(p->seconds()).c_str(), show_seconds(p->compute).c_str(),
                   show_seconds(p->latency).c_str(), mark, show_seconds(p->transfer).c_str(),
                   show_bytes(p->bytes).c_str());
  }
  if (!predictions.of(Path::hierarchical)) {
    text += "hierarchical  needs at least 2 nodes of at least 2 ranks each (--ranks-per-node)\n";
  }
  if (measured) {
    text += "* dense was measured as a whole";
    if (costs.dense.ranks != workload.world_size) {
      text += format(", by %d ranks, and scaled", costs.dense.ranks);
    }
    text +=
        ": this is the rest of its time, latency and whatever else the other columns do not "
        "explain\n";
  }
  text +=
      "dense: sparccl's, with the exchange of a few bytes that precedes every call; of small "
      "tensors an allreduce without it takes less\n";
  text += "\nbreak-even bandwidth: " + words_of(break_even_bandwidth(costs, workload)) + "\n";
  text += "break-even density:   " + words_of_density(break_even_density(costs, workload)) + "\n";
  text += "--path auto takes " + choose(predictions).reason + "\n" + verdict(predictions);
  return text;
}

std::string json_of(const Costs& costs, const Workload& workload) {
  const Predictions predictions = predict(costs, workload);
  Json told = Json::object();
  for (const Path path : paths) {
    const auto& p = predictions.of(path);
    if (!p) continue;
    told[name_of(path)] = {{"seconds", p->seconds()},
                           {"compute", p->compute},
                           {"latency", p->latency},
                           {"transfer", p->transfer},
                           {"bytes", p->bytes}};
  }
  const Choice choice = choose(predictions);
  const double dense = predictions.of(Path::dense)->seconds();
  const double sparse = predictions.of(predictions.best_sparse())->seconds();
  const Json all = {
      {"workload",
       {{"count", workload.count},
        {"k", workload.k},
        {"type", name_of(workload.type)},
        {"wire", name_of(workload.wire)},
        {"ranks", workload.world_size},
        {"ranks_per_node", workload.ranks_per_node}}},
      {"paths", told},
      {"dense_latency_is_rest", dense_is_measured(costs)},
      {"choice", name_of(choice.path)},
      {"reason", choice.reason},
      {"best_sparse", name_of(predictions.best_sparse())},
      {"speedup", dense / sparse},
      {"yes", choice.path != Path::dense},
      {"break_even_bandwidth", json_of(break_even_bandwidth(costs, workload), "bytes_per_second")},
      {"break_even_density", json_of(break_even_density(costs, workload), "density")},
      {"costs", Json::parse(text_of(costs))}};
  return all.dump(2) + "\n";
}

std::string show_costs(const Costs& costs) {
  const StageCosts& stages = costs.stages;
  std::string text = format(
      "measured on %s (%s, %s%s%s, %d cores)\n", show_ranks(costs.machine.world_size).c_str(),
      costs.machine.transport.c_str(), costs.machine.cpu.c_str(),
      costs.machine.gpu.empty() ? "" : ", ", costs.machine.gpu.c_str(), costs.machine.cores);
  text += format(
      "stages: %.2f ns an entry to go over the gradient, %.2f ns an entry of the result, "
      "%.1f ns an entry sent, %.1f ns an entry received\n",
      1e9 * stages.pass.slope(), 1e9 * stages.result.slope(), 1e9 * stages.selected.at(0),
      1e9 * stages.merged.at(0));
  if (costs.machine.world_size < 2) return text + "\n";
  return text + format("network: latency %s, %s; dense allreduce: %s per further MB\n\n",
                       show_seconds(costs.network.latency).c_str(),
                       show_bandwidth(1 / costs.network.per_byte()).c_str(),
                       show_seconds(1e6 * costs.dense.curve.slope()).c_str());
}

}  // namespace sparccl::bench
