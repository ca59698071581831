// What sparccl_plan prints.
#pragma once

#include <string>

#include "cost_model.hpp"

namespace sparccl::bench {

[[nodiscard]] std::string table_of(const Costs& costs, const Workload& workload);
[[nodiscard]] std::string json_of(const Costs& costs, const Workload& workload);
/// What a probe found, for people.
[[nodiscard]] std::string show_costs(const Costs& costs);

}  // namespace sparccl::bench
