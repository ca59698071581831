// Opt-in: ranks are the processes of an MPI communicator. Link sparccl::mpi.
#pragma once

#include <mpi.h>

#include <sparccl/sparccl.hpp>

namespace sparccl {

/// Collective over `communicator`, which is duplicated: its own traffic is never touched. MPI must
/// be initialised, with MPI_THREAD_MULTIPLE if other threads use MPI meanwhile, and must not be
/// finalised before the last handle is gone. Throws Error(system_error) with MPI's own words.
[[nodiscard]] SPARCCL_API Communicator mpi_communicator(MPI_Comm communicator,
                                                        const CommunicatorOptions& options = {});

}  // namespace sparccl
