// Costs of an imagined machine, and tensors to predict for.
#pragma once

#include <random>

#include "cost_model.hpp"

namespace sparccl::test {

[[nodiscard]] inline Costs imagined_costs(double bytes_per_second = 1.25e8) {
  Costs costs;
  costs.stages.pass = {{{4096, 2e-5}, {1 << 24, 1e-2}}};
  costs.stages.result = {{{4096, 1e-6}, {1 << 24, 2e-3}}};
  costs.stages.selected = {{{0.01, 8e-9}, {1, 8e-9}}};
  costs.stages.merged = {{{0.01, 3e-9}, {1, 3e-9}}};
  costs.stages.split = 5e-9;
  costs.stages.reduction = 1e-10;
  costs.network.latency = 5e-5;
  costs.network.seconds_per_byte = 1 / bytes_per_second;
  costs.network.copy_seconds_per_byte = 2e-10;
  costs.shared = costs.network;
  costs.shared.seconds_per_message = 1e-6;
  costs.node.latency = 1e-6;
  costs.node.seconds_per_byte = 1e-10;
  costs.machine = {"a CPU", 8, "", "host", "mpi", 4, 1};
  return costs;
}

[[nodiscard]] inline Workload random_workload(std::mt19937_64& random) {
  const auto between = [&](double low, double high) {  // evenly in the logarithm
    return low * std::pow(high / low, std::uniform_real_distribution<double>()(random));
  };
  Workload workload;
  workload.count = static_cast<std::size_t>(between(1, 1e9));
  workload.k = std::clamp<std::size_t>(
      static_cast<std::size_t>(between(1e-5, 1) * static_cast<double>(workload.count)), 1,
      workload.count);
  constexpr DataType types[] = {DataType::float32, DataType::float16, DataType::bfloat16,
                                DataType::float64};
  workload.type = types[random() % 4];
  workload.wire = random() % 2 == 0 ? workload.type : DataType::float16;
  workload.ranks_per_node = 1 << (random() % 4);
  workload.world_size = workload.ranks_per_node << (random() % 8);
  return workload;
}

}  // namespace sparccl::test
