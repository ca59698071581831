// What the stages of a sparse step cost on this communicator's ranks.
#pragma once

#include "cost_model.hpp"
#include "probe_clock.hpp"

namespace sparccl {

/// Runs whole steps over synthetic gradients, on all ranks at once, and takes apart what they
/// took. Collective.
[[nodiscard]] StageCosts probe_stages(Communicator::Impl& communicator, ProbeClock& clock,
                                      Stream stream);

}  // namespace sparccl
