// Opt-in: tensors in the memory of CUDA devices, ranks on a network of hosts. Link sparccl::cuda.
#pragma once

#include <sparccl/sparccl.hpp>

namespace sparccl {

/// The same ranks with tensors in the memory of the CUDA device that is present on the calling
/// thread: gradients, results and residuals are device memory, stream is a cudaStream_t (nullptr:
/// the default stream). Packets cross to `host` (Communicator::local, mpi_communicator) through
/// page-locked memory, or directly where MPI gathers device memory (MPICH's, not Open MPI's). Calls
/// wait for the stream and return when the result is enqueued on it; they cannot be captured in a
/// CUDA graph. Not collective. Throws Error(system_error) that says what is missing where there is
/// no driver or device.
[[nodiscard]] SPARCCL_API Communicator cuda_communicator(const Communicator& host);

}  // namespace sparccl
