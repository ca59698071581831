#include "transport/mpi_device.hpp"

namespace sparccl {

/// Open MPI, too: where it takes device memory at all, its nonblocking collectives do not.
bool mpi_gathers_device_memory() noexcept { return false; }

}  // namespace sparccl
