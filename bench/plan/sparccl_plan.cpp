// Would compression help here, and on which path: asks the cost model that --path auto goes by.
#include <algorithm>
#include <cmath>
#include <cstdio>
#include <exception>
#include <mutex>

#include "calibration.hpp"
#include "plan_ranks.hpp"
#include "plan_report.hpp"
#include "plan_settings.hpp"

namespace {

using namespace sparccl;
using namespace sparccl::bench;

CommunicatorOptions options_of(const PlanSettings& settings) {
  CommunicatorOptions options;
  options.ranks_per_node = settings.ranks_per_node;
  return options;
}

/// Of ranks that are threads of this process.
Costs probe_threads(const PlanSettings& settings, int ranks) {
  Costs costs;
  const CommunicatorOptions options = options_of(settings);
  on_threads(ranks, settings.backend == "cuda", options, [&](const Communicator& communicator) {
    const Costs measured = probe(*communicator.impl(), nullptr);
    if (communicator.rank() == 0) costs = measured;
  });
  return costs;
}

/// What is said of the network replaces what was measured of it, and what was assumed nothing.
void assume_network(Costs& costs, const PlanSettings& settings) {
  if (settings.bandwidth) {
    if (costs.network.seconds_per_byte > 0) {
      costs = at_bandwidth(costs, *settings.bandwidth);
    } else {
      const double each = std::max(1, settings.ranks_per_node);
      costs.network.seconds_per_byte = 1 / *settings.bandwidth;
      costs.shared.seconds_per_byte = each / *settings.bandwidth;
    }
  }
  if (settings.latency) {
    costs.network.latency = costs.shared.latency = *settings.latency;
    costs.dense.curve = {};  // measured with another latency
  }
  if (settings.node_given || costs.node.per_byte() == 0) {
    costs.node = {};
    costs.node.seconds_per_byte = 1 / settings.node_bandwidth;
    costs.node.latency = settings.node_latency;
  }
  if (costs.network.per_byte() > 0) return;
  throw UsageError("--calibration " + settings.calibration +
                   ": expected a file that was measured on at least 2 ranks, or --bandwidth and "
                   "--latency as well");
}

/// A probe of a link of known bandwidth: what bytes take beyond it is the processors' part.
void rate_link(Costs& costs, double bytes_per_second) {
  for (Link* const link : {&costs.network, &costs.shared}) {
    const double measured = link->per_byte();
    link->seconds_per_byte = std::min(measured, 1 / bytes_per_second);
    link->copy_seconds_per_byte = link->copies_of(measured);
  }
  costs.dense.seconds_per_byte = costs.network.seconds_per_byte;
}

Workload workload_of(const Costs& costs, const PlanSettings& settings) {
  Workload workload;
  workload.count = settings.count;
  const double k = std::round(settings.density * static_cast<double>(settings.count));
  workload.k = std::clamp<std::size_t>(static_cast<std::size_t>(k), 1, settings.count);
  workload.type = settings.type;
  workload.wire = settings.wire;
  workload.world_size = settings.ranks > 0 ? settings.ranks : costs.machine.world_size;
  workload.ranks_per_node =
      settings.ranks_per_node > 0 ? settings.ranks_per_node : costs.machine.ranks_per_node;
  if (workload.ranks_per_node > 1 && workload.world_size % workload.ranks_per_node != 0) {
    throw UsageError("--ranks-per-node: expected a divisor of the " +
                     std::to_string(workload.world_size) + " ranks, found " +
                     std::to_string(workload.ranks_per_node));
  }
  return workload;
}

void tell(const Costs& costs, const PlanSettings& settings) {
  if (!settings.save.empty()) save_costs(costs, settings.save);
  std::string text;
  if (settings.count == 0) {
    text = settings.json ? text_of(costs) : show_costs(costs);
  } else if (settings.json) {
    text = json_of(costs, workload_of(costs, settings));
  } else {
    text =
        (settings.probe ? show_costs(costs) : "") + table_of(costs, workload_of(costs, settings));
  }
  std::fputs(text.c_str(), stdout);
}

/// Under mpirun. Only rank 0 tells.
void probe_processes(int argc, char** argv, const PlanSettings& settings) {
  const MpiProcess process(&argc, &argv);
  try {
    const CommunicatorOptions options = options_of(settings);
    const Communicator hosts = process.communicator(options);
    const Communicator ranks = settings.backend == "cuda" ? on_device(hosts) : hosts;
    Costs costs = probe(*ranks.impl(), nullptr);
    if (settings.bandwidth && costs.machine.world_size > 1) rate_link(costs, *settings.bandwidth);
    if (ranks.rank() == 0) tell(costs, settings);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "sparccl_plan: %s\n", error.what());
    MpiProcess::abort(dynamic_cast<const UsageError*>(&error) != nullptr ? 2 : 1);
  }
}

void run(int argc, char** argv) {
  const std::optional<PlanSettings> settings = parse_plan(argc, argv);
  if (!settings) return;
  if (settings->probe && settings->transport == "mpi")
    return probe_processes(argc, argv, *settings);
  Costs costs;
  if (settings->probe) {
    costs = probe_threads(*settings, settings->threads);
    if (settings->bandwidth && settings->threads > 1) rate_link(costs, *settings->bandwidth);
  } else {
    costs = settings->calibration.empty() ? probe_threads(*settings, 1)
                                          : load_costs(settings->calibration);
    assume_network(costs, *settings);
  }
  tell(costs, *settings);
}

}  // namespace

int main(int argc, char** argv) {
  try {
    run(argc, argv);
    return 0;
  } catch (const UsageError& error) {
    std::fprintf(stderr, "sparccl_plan: %s\n", error.what());
    return 2;
  } catch (const std::exception& error) {
    std::fprintf(stderr, "sparccl_plan: %s\n", error.what());
    return 1;
  }
}
