// Ranks that are processes which this program starts itself: one GPU each, and no MPI needed.
#pragma once

#include <optional>

#include "ranks/world.hpp"

namespace mnist {

/// Starts this program once more for each rank, with the same arguments, and waits. A rank that
/// fails ends the others, and ranks end with the process that started them. Names on stderr each
/// rank that failed. Returns EXIT_SUCCESS if none did. An interrupt interrupts this process, too,
/// once all ranks have ended. Throws std::system_error where it cannot start them.
[[nodiscard]] int run_processes(int ranks, char** arguments);

/// In a process that run_processes() has started: runs `body` and returns the exit status. In any
/// other: nothing.
[[nodiscard]] std::optional<int> run_started(const Body& body);

}  // namespace mnist
