#include "settings_rules.hpp"

#include <algorithm>
#include <cmath>

#include "build.hpp"
#include "data.hpp"
#include "failures.hpp"

namespace sparccl::perf {
namespace {

constexpr int most_threads = 256;  // as sparccl_plan has it

void at_least(const char* flag, int value, int least) {
  if (value < least) {
    throw UsageError(std::string(flag) + ": expected " + std::to_string(least) +
                     " or more, found " + std::to_string(value));
  }
}

void require_numbers(const Settings& s) {
  at_least("-n", s.iterations, 1);
  at_least("-w", s.warmup, 0);
  at_least("-c", s.checks, 0);
  at_least("--repeats", s.repeats, 1);
  at_least("--ranks-per-node", s.ranks_per_node, 0);
  for (const double density : s.densities) {
    if (!(density > 0 && density <= 1)) {
      throw UsageError("--density: expected shares above 0 and up to 1, found " +
                       std::to_string(density) + " (0.1 % is 0.001)");
    }
  }
  if (!(s.mu >= 0 && std::isfinite(s.mu))) {
    throw UsageError("--mu: expected a finite number of at least 0, found " + std::to_string(s.mu));
  }
}

void require_sizes(const Settings& s) {
  for (const DataType type : s.types) {
    for (const std::size_t size : s.sizes) {
      const std::size_t width = size_of(type);
      if (size % width == 0) continue;
      throw UsageError(
          "a size of " + std::to_string(size) + " bytes is no whole number of " + type_name(type) +
          " entries: choose -b, -i and -f such that all sizes are "
          "multiples of " +
          std::to_string(width) + ", for instance " + std::to_string((size / width + 1) * width));
    }
    if (s.wire == DataType::float64 && type != DataType::float64) {
      throw UsageError(std::string("--wire double: a tensor of ") + type_name(type) +
                       " has nothing to gain from it; use -d double, or leave --wire out");
    }
  }
}

void require_transport(Settings& s) {
  const int processes = launched().size;
  if (s.transport.empty()) s.transport = processes > 1 && build::has_mpi ? "mpi" : "local";
  const bool nccl = s.transport == "nccl";
  if (s.transport != "local" && s.transport != "mpi" && !nccl) {
    throw UsageError("--transport: expected local, mpi or nccl, found '" + s.transport + "'");
  }
  if (s.backend != "host" && s.backend != "cuda") {
    throw UsageError("--backend: expected host or cuda, found '" + s.backend + "'");
  }
  if (s.transport == "mpi") {
    if (!build::has_mpi) throw UsageError(build::how_to_get_mpi);
    if (s.threads != 0) {
      throw UsageError(
          "-t with --transport mpi: ranks are the processes that mpirun starts; leave "
          "it out and use mpirun -n " +
          std::to_string(s.threads));
    }
  } else if (processes > 1) {
    throw UsageError("--transport " + s.transport + ": mpirun has started " +
                     std::to_string(processes) + " processes, each of which would measure alone; " +
                     "use --transport mpi, or start it without mpirun and with -t " +
                     std::to_string(processes));
  }
  if (s.gpus != 0 && !nccl) {
    throw UsageError("-g: only with --transport nccl; " +
                     std::string(s.transport == "mpi" ? "the number of ranks is mpirun's -n"
                                                      : "the number of ranks is -t"));
  }
  if (s.threads > most_threads) {
    throw UsageError("-t: expected up to " + std::to_string(most_threads) + ", found " +
                     std::to_string(s.threads) + "; start more ranks as processes, by mpirun");
  }
  if (s.threads == 0) s.threads = s.transport == "local" ? 2 : 1;
  if (s.gpus == 0) s.gpus = 1;
}

void require_baselines(const Settings& s) {
  for (const std::string& name : s.baselines) {
    if (s.backend != "host") {
      throw UsageError("--baseline " + name +
                       ": baselines work on host memory; use --backend host");
    }
    if (name == "mpi" && s.transport != "mpi") {
      throw UsageError(
          "--baseline mpi: MPI_Allreduce is among processes; start it by mpirun with "
          "--transport mpi");
    }
    if (name == "gloo" && !build::has_gloo) throw UsageError(build::how_to_get_gloo);
  }
}

}  // namespace

void require_sense(Settings& s) {
  require_numbers(s);
  require_sizes(s);
  const bool backend_given = s.command.find("--backend") != std::string::npos;
  require_transport(s);
  if (s.transport == "nccl") {
    if (backend_given && s.backend == "host") {
      throw UsageError(
          "--transport nccl with --backend host: NCCL moves device memory alone; use "
          "--backend cuda, or --transport local or mpi");
    }
    s.backend = "cuda";
    if (!build::has_cuda) {
      throw UsageError(std::string("--transport nccl: ") + build::how_to_get_cuda +
                       "; or use --transport local or mpi");
    }
  }
  if (s.backend == "cuda" && !build::has_cuda) {
    throw UsageError(std::string("--backend cuda: ") + build::how_to_get_cuda +
                     "; or use --backend host");
  }
  if (s.transport == "nccl" && !build::has_nccl) throw UsageError(build::how_to_get_nccl);
  require_baselines(s);
}

std::string forbidden(Path path, int ranks, int nodes, bool nodes_given) {
  if (path != Path::hierarchical) return {};
  const std::string ask = "; give --ranks-per-node a divisor of " + std::to_string(ranks) +
                          " that is smaller, or take "
                          "another --path";
  if (nodes < 2) {
    return "--path hierarchical: expected 2 nodes or more, found all " + std::to_string(ranks) +
           " ranks on one" + (ranks < 2 ? "; start more ranks" : ask);
  }
  if (ranks % nodes != 0) {
    return "--path hierarchical: expected as many ranks on each node, found " +
           std::to_string(ranks) + " ranks on " + std::to_string(nodes) + " nodes" +
           (nodes_given ? ask : "; start as many on each host");
  }
  if (nodes == ranks) {
    return "--path hierarchical: expected 2 ranks or more on a node, found each of " +
           std::to_string(ranks) + " alone" +
           (nodes_given ? "; give a larger --ranks-per-node, or take another --path"
                        : "; start several on each host, or take another --path");
  }
  return {};
}

double bytes_of_a_rank(const Settings& s, int ranks) {
  double worst = 0;
  const double density = std::ranges::max(s.densities);
  for (const DataType type : s.types) {
    const double width = static_cast<double>(size_of(type));
    const double count = static_cast<double>(s.sizes.back()) / width;
    const double k = std::max(1.0, density * count);
    const double accumulator = type == DataType::float64 ? 8 : 4;
    const double tensors = (2 * width + accumulator) * count + spread_entries * width;
    const double lists = k * (2 * accumulator + 16) + ranks * k * (2 + width);
    // Of the oracle and of what it is held against: copies, lists of what was sent.
    const double check = s.checks > 0 ? (16 + 3 * accumulator + 2 * width) * count + 56 * k : 0;
    const bool naive = std::ranges::find(s.baselines, "naive") != s.baselines.end();
    const double others = naive ? 8 * count + 8 * k * (ranks + 1) : 0;
    // Dense reductions stage a part of the tensor; which, depends on the transport.
    const double staging = width * count / ranks;
    worst = std::max(worst, tensors + std::max(lists + others + staging, check + lists));
  }
  return worst;
}

}  // namespace sparccl::perf
