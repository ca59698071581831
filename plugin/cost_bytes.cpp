// Bytes on the wire, and what of them is received.
#include "cost_model.hpp"
#include "split_plan.hpp"
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

}  // namespace

double allgather_bytes(const Workload& workload) {
  return static_cast<double>(wire::layout(plan_of(workload)).bytes);
}

SplitBytes split_bytes(const Workload& workload) {
  const SplitPlan split = make_split_plan(plan_of(workload));
  return {static_cast<double>(wire::range_layout(split.sent).bytes),
          static_cast<double>(wire::range_layout(split.reduced).bytes)};
}

double dense_bytes(const Workload& workload) {
  const double ranks = workload.world_size;
  const auto width = static_cast<double>(size_of(workload.type));
  return 2 * (ranks - 1) / ranks * static_cast<double>(workload.count) * width;
}

}  // namespace sparccl
