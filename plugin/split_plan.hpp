// How Path::split shares the work out: capacities of its packets, bounds of its ranges.
#pragma once

#include <cstdint>
#include <vector>

#include "stages.hpp"

namespace sparccl {

/// plan: of the tensor. A rank sends at most 1.5 k entries (and 4 for each range, for small k), and
/// gets at most 2.5 k (and 4 for each range) that were reduced: O(k) bytes, whatever the number of
/// ranks. At a density of 2/3 and above everything has room.
[[nodiscard]] SplitPlan make_split_plan(const Plan& plan);

/// Bounds of equal ranges: [world_size + 1].
[[nodiscard]] std::vector<std::uint64_t> equal_bounds(const SplitPlan& split);

}  // namespace sparccl
