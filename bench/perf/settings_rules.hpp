// What of the settings goes together.
#pragma once

#include <cstddef>
#include <string>

#include "settings.hpp"

namespace sparccl::perf {

/// Fills in what was not given, and throws UsageError where flags contradict each other, whatever
/// the ranks are.
void require_sense(Settings& settings);

/// Why `path` cannot be taken by so many ranks, and what to do; empty if it can.
[[nodiscard]] std::string forbidden(Path path, int ranks, int nodes, bool nodes_given);

/// Bytes that one rank holds at the worst size of the settings.
[[nodiscard]] double bytes_of_a_rank(const Settings& settings, int ranks);

}  // namespace sparccl::perf
