// Runs calls whose results are known, on tensors of their own.
#pragma once

#include <cstdint>
#include <string>

#include "device.hpp"
#include "figures.hpp"
#include "ranks.hpp"
#include "settings.hpp"

namespace sparccl::perf {

/// Wrong entries of all ranks and steps of settings.checks calls on `path`, from a fresh state.
/// Collective.
[[nodiscard]] std::uint64_t check_sparse(Ranks& ranks, Device& device, Communicator& communicator,
                                         const Settings& settings, const Case& what, Path path);
[[nodiscard]] std::uint64_t check_baseline(Ranks& ranks, const std::string& name,
                                           const Settings& settings, const Case& what);

/// Of each rank, a call: design.md, section 1.
[[nodiscard]] std::uint64_t entries_sent(double density, std::size_t count);

/// How `what` is sparsified.
[[nodiscard]] Options options_of(const Case& what);

}  // namespace sparccl::perf
