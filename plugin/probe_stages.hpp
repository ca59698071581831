// What the stages of a sparse step cost on this communicator's ranks.
#pragma once

#include "cost_model.hpp"
#include "probe_clock.hpp"

namespace sparccl {

/// Runs whole steps over synthetic gradients, on all ranks at once, and takes apart what they
/// took. ranks_of_node: that share its caches. link: between all ranks. Collective.
[[nodiscard]] StageCosts probe_stages(Communicator::Impl& communicator, ProbeClock& clock,
                                      int ranks_of_node, const Link& link, Stream stream);

}  // namespace sparccl
