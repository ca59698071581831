// Whether MPI moves memory of CUDA devices. CMake chooses one of the files of this name.
#pragma once

namespace sparccl {

/// Whether MPI_Iallgather takes device memory; reductions are the host's in any case. MPI must be
/// running.
[[nodiscard]] bool mpi_gathers_device_memory() noexcept;

}  // namespace sparccl
