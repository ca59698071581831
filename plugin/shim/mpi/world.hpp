// The first thing that processes tell each other: whether all of them have the shim, and the same
// settings.
#pragma once

namespace sparccl::shim::mpi {

/// Right after MPI_Init, on MPI_COMM_WORLD. Takes SPARCCL_TIMEOUT_MS at most. What it finds wrong
/// is kept for the first call. Whether all is well.
[[nodiscard]] bool greet_world();

/// Throws what greet_world() found, each time.
void require_world_agrees();

/// Rank and size of MPI_COMM_WORLD.
[[nodiscard]] int world_rank() noexcept;
[[nodiscard]] int world_size() noexcept;

}  // namespace sparccl::shim::mpi
