#include <mpi.h>

#include <cstdlib>

#include <sparccl/mpi.hpp>

#include "plan_ranks.hpp"

namespace sparccl::bench {

const bool have_mpi = true;

MpiProcess::MpiProcess(int* argc, char*** argv) { MPI_Init(argc, argv); }

MpiProcess::~MpiProcess() { MPI_Finalize(); }

Communicator MpiProcess::communicator(const CommunicatorOptions& options) const {
  return mpi_communicator(MPI_COMM_WORLD, options);
}

void MpiProcess::abort(int status) {
  MPI_Abort(MPI_COMM_WORLD, status);
  std::abort();
}

}  // namespace sparccl::bench
