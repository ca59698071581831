// The machine that figures are from.
#pragma once

#include <cstddef>
#include <string>

namespace sparccl::perf {

/// "AMD EPYC 7763 ..."; "unknown" where the system does not say.
[[nodiscard]] std::string cpu_model();
/// Of the machine: what a process may run on, mpirun narrows down for each rank.
[[nodiscard]] int cores();
/// Bytes that can be allocated without swapping, within the limit of the control group.
[[nodiscard]] std::size_t available_memory();

}  // namespace sparccl::perf
