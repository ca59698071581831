// Would compression help here, and on which path: asks the cost model that --path auto goes by.
#include <algorithm>
#include <cmath>
#include <cstdio>
#include <exception>
#include <mutex>

#include "calibration.hpp"
#include "plan_notes.hpp"
#include "plan_ranks.hpp"
#include "plan_report.hpp"
#include "plan_settings.hpp"
#include "units.hpp"

namespace {

using namespace sparccl;
using namespace sparccl::bench;

CommunicatorOptions options_of(const PlanSettings& settings) {
  CommunicatorOptions options;
  options.ranks_per_node = settings.ranks_per_node;
  return options;
}

int ranks_of(const Costs& costs, const PlanSettings& settings) {
  return settings.ranks > 0 ? settings.ranks : costs.machine.world_size;
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

/// As a file of that backend would have it: without a GPU here, there is none to compare with.
Machine machine_here(const std::string& backend) {
  const Communicator host = Communicator::local(1).front();
  try {
    return machine_of(*(backend == "cuda" ? on_device(host) : host).impl());
  } catch (const UsageError&) {
    return machine_of(*host.impl());
  }
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
  }
  if (settings.ranks_per_node > 0 && settings.ranks_per_node != costs.machine.ranks_per_node) {
    costs.shared.seconds_per_byte = settings.ranks_per_node * costs.network.seconds_per_byte;
  }
  if (costs.node.per_byte() == 0) costs.node = {.latency = 1e-6, .seconds_per_byte = 1 / 10e9};
  if (settings.node_bandwidth) {
    costs.node.seconds_per_byte = 1 / *settings.node_bandwidth;
    costs.node.copy_seconds_per_byte = 0;
  }
  if (settings.node_latency) costs.node.latency = *settings.node_latency;
}

/// What the options say of a file must fit it: refused rather than ignored.
void check_file(const Costs& costs, const PlanSettings& settings) {
  const std::string file = "calibration file " + settings.calibration;
  const std::string& backend = costs.machine.backend;
  if (!settings.backend.empty() && !backend.empty() && settings.backend != backend) {
    throw UsageError("--backend " + settings.backend + ": " + file + " has the stages of " +
                     backend +
                     "; leave --backend out to predict for those, or measure with "
                     "--probe --backend " +
                     settings.backend + " --save FILE");
  }
  if (settings.ranks == 0 && costs.machine.world_size == 0) {
    throw UsageError("--ranks: expected the number of ranks, for " + file + " has none");
  }
  if (ranks_of(costs, settings) < 2 || costs.network.per_byte() > 0) return;
  if (settings.bandwidth && settings.latency) return;
  throw UsageError("--calibration " + settings.calibration +
                   ": expected a file that was measured on at least 2 ranks, or --bandwidth and "
                   "--latency as well");
}

/// A probe of a link of known bandwidth: what bytes take beyond it is the processors' part.
void rate_link(Costs& costs, double bytes_per_second, bool telling) {
  if (telling && costs.network.per_byte() < 0.9 / bytes_per_second) {
    print({"measured " + show_bandwidth(1 / costs.network.per_byte()) + ", more than the rated " +
           show_bandwidth(bytes_per_second) +
           " of --bandwidth, which then changes nothing. To predict for such a network, save with "
           "--probe --save FILE, then ask --calibration FILE --bandwidth ..."});
  }
  for (Link* const link : {&costs.network, &costs.shared}) {
    const double measured = link->per_byte();
    link->seconds_per_byte = std::min(measured, 1 / bytes_per_second);
    link->copy_seconds_per_byte = link->copies_of(measured);
  }
  costs.dense.seconds_per_byte = costs.network.seconds_per_byte;
}

/// As measured, where that is what is asked about or these ranks can be spread over several nodes
/// like that; else one a node.
int usual_ranks_per_node(const Costs& costs, const PlanSettings& settings) {
  const int ranks = ranks_of(costs, settings);
  const int measured = std::max(1, costs.machine.ranks_per_node);
  const bool as_measured =
      ranks == costs.machine.world_size && !settings.bandwidth && !settings.latency;
  if (as_measured) return measured;
  return measured < costs.machine.world_size && ranks % measured == 0 ? measured : 1;
}

Workload workload_of(const Costs& costs, const PlanSettings& settings) {
  Workload workload;
  workload.count = settings.count;
  const double k = std::round(settings.density * static_cast<double>(settings.count));
  workload.k = std::clamp<std::size_t>(static_cast<std::size_t>(k), 1, settings.count);
  workload.type = settings.type;
  workload.wire = settings.wire;
  workload.world_size = ranks_of(costs, settings);
  workload.ranks_per_node = settings.ranks_per_node;
  if (settings.ranks_per_node == 0) workload.ranks_per_node = usual_ranks_per_node(costs, settings);
  if (workload.ranks_per_node > 1 && workload.world_size % workload.ranks_per_node != 0) {
    throw UsageError("--ranks-per-node: expected a divisor of the " +
                     std::to_string(workload.world_size) + " ranks, found " +
                     std::to_string(workload.ranks_per_node));
  }
  const bool one_node = workload.ranks_per_node == workload.world_size && workload.world_size > 1;
  if (one_node && (settings.bandwidth || settings.latency || settings.node_bandwidth ||
                   settings.node_latency)) {
    throw UsageError(
        "--ranks-per-node " + std::to_string(workload.ranks_per_node) +
        ": expected fewer than all ranks: on one node nothing goes over the links that "
        "--bandwidth, --latency, --node-bandwidth and --node-latency are about");
  }
  if (workload.ranks_per_node < 2 && (settings.node_bandwidth || settings.node_latency)) {
    throw UsageError(
        "--node-bandwidth, --node-latency: expected --ranks-per-node of at least 2 as well: a rank "
        "alone on its node sends nothing within it");
  }
  return workload;
}

void tell(const Costs& costs, const PlanSettings& settings) {
  print(notes_on_ranks(costs.machine, settings));
  print(notes_on_stages(costs.stages));
  const Workload workload = settings.count == 0 ? Workload{} : workload_of(costs, settings);
  if (!settings.save.empty()) save_costs(costs, settings.save);
  std::string text;
  if (settings.count == 0) {
    text = settings.json ? text_of(costs) : show_costs(costs);
  } else if (settings.json) {
    text = json_of(costs, workload);
  } else {
    text = (settings.probe ? show_costs(costs) : "") + table_of(costs, workload);
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
    if (settings.bandwidth && ranks.size() < 2) {
      throw UsageError("--bandwidth: expected at least 2 ranks: one has no link to measure");
    }
    Costs costs = probe(*ranks.impl(), nullptr);
    if (settings.bandwidth) rate_link(costs, *settings.bandwidth, ranks.rank() == 0);
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
  } else {
    if (settings->calibration.empty()) {
      costs = probe_threads(*settings, 1);
    } else {
      costs = load_costs(settings->calibration);
      check_file(costs, *settings);
      print(notes_on_machine(costs.machine, machine_here(costs.machine.backend), *settings));
    }
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
