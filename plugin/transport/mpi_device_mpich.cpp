#include <mpi.h>

#include "transport/mpi_device.hpp"

namespace sparccl {

/// MPICH and what descends from it: all of its collectives take device memory, or none does.
bool mpi_gathers_device_memory() noexcept {
  int supported = 0;
  const int code = MPIX_GPU_query_support(MPIX_GPU_SUPPORT_CUDA, &supported);
  return code == MPI_SUCCESS && supported != 0;
}

}  // namespace sparccl
