// Bytes on the wire, and what of them is received.
#include <algorithm>

#include "cost_model.hpp"
#include "stages.hpp"
#include "wire.hpp"

namespace sparccl {
namespace {

Plan plan_of(const Workload& workload) {
  Plan plan;
  plan.count = workload.count;
  plan.k = workload.k;
  plan.world_size = workload.world_size;
  plan.type = workload.type;
  plan.wire = workload.wire;
  return plan;
}

std::size_t divided_up(std::size_t a, std::size_t by) { return a / by + (a % by != 0 ? 1 : 0); }

std::size_t slot_bytes(std::size_t length, std::size_t entries, std::size_t value_bytes) {
  const std::size_t tables = divided_up(length, block_size);
  return divided_up(32 + 4 * tables + (2 + value_bytes) * entries, 16) * 16;
}

}  // namespace

double allgather_bytes(const Workload& workload) {
  return static_cast<double>(wire::layout(plan_of(workload)).bytes);
}

SplitBytes split_bytes(const Workload& workload) {
  const auto ranks = static_cast<std::size_t>(workload.world_size);
  const std::size_t n = workload.count;
  const std::size_t k = workload.k;
  const std::size_t each = divided_up(n, ranks);
  const std::size_t length = k >= n - n / 3 ? each : std::min(n, 4 * each);  // 1.5 k >= n
  const std::size_t sent = std::min(length, divided_up(k + divided_up(k, 2), ranks) + 4);
  const std::size_t reduced = std::min(length, divided_up(3 * k, ranks) + 4);
  const std::size_t sum_bytes = size_of(plan_of(workload).accumulator());
  return {static_cast<double>(slot_bytes(length, sent, size_of(workload.wire))),
          static_cast<double>(slot_bytes(length, reduced, sum_bytes))};
}

double dense_bytes(const Workload& workload) {
  const double ranks = workload.world_size;
  const auto width = static_cast<double>(size_of(workload.type));
  return 2 * (ranks - 1) / ranks * static_cast<double>(workload.count) * width;
}

}  // namespace sparccl
