// The first thing that processes tell each other: whether all of them have the shim, and the same
// settings.
#pragma once

#include <mpi.h>

#include <optional>

#include <sparccl/sparccl.hpp>

namespace sparccl::shim::mpi {

/// Right after MPI_Init, on MPI_COMM_WORLD. Takes SPARCCL_TIMEOUT_MS at most. What it finds wrong
/// is kept for the first call. Whether all is well.
[[nodiscard]] bool greet_world();

/// Of MPI_COMM_WORLD, made by greet_world(), for nonblocking calls: making one at a nonblocking
/// call would hold up others that the program makes meanwhile. Nothing where there is none.
struct World {
  MPI_Comm duplicate = MPI_COMM_NULL;
  std::optional<Communicator> communicator;
};
[[nodiscard]] World& world() noexcept;
/// Before MPI_Finalize, when nothing uses it any more.
void forget_world() noexcept;

/// Throws what greet_world() found, each time.
void require_world_agrees();

/// Rank and size of MPI_COMM_WORLD.
[[nodiscard]] int world_rank() noexcept;
[[nodiscard]] int world_size() noexcept;

}  // namespace sparccl::shim::mpi
