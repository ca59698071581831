// What to know of costs before one trusts what is predicted from them.
#pragma once

#include <string>
#include <vector>

#include "cost_model.hpp"
#include "plan_settings.hpp"

namespace sparccl::bench {

/// Of a calibration file: whether this machine, `here`, is the one that it was measured on.
[[nodiscard]] std::vector<std::string> notes_on_machine(const Machine& measured,
                                                        const Machine& here,
                                                        const PlanSettings& settings);
/// Of ranks other than those measured.
[[nodiscard]] std::vector<std::string> notes_on_ranks(const Machine& measured,
                                                      const PlanSettings& settings);

/// Stages that cost nothing were measured while something else took the processors.
[[nodiscard]] std::vector<std::string> notes_on_stages(const StageCosts& stages);

/// To stderr, each on a line: stdout may be JSON.
void print(const std::vector<std::string>& notes);

}  // namespace sparccl::bench
