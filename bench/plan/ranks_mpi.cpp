#include <mpi.h>

#include <cstdlib>

#include <sparccl/mpi.hpp>

#include "../mpi_launcher.hpp"
#include "plan_ranks.hpp"
#include "plan_settings.hpp"

namespace sparccl::bench {

const bool have_mpi = true;

MpiProcess::MpiProcess(int* argc, char*** argv) {
  MPI_Init(argc, argv);
  const std::string wrong = wrong_launcher();
  if (wrong.empty()) return;
  MPI_Finalize();
  if (!is_first_of_job()) std::exit(2);  // one sentence is enough
  throw UsageError(wrong);
}

MpiProcess::~MpiProcess() { MPI_Finalize(); }

Communicator MpiProcess::communicator(const CommunicatorOptions& options) const {
  return mpi_communicator(MPI_COMM_WORLD, options);
}

void MpiProcess::abort(int status) {
  MPI_Abort(MPI_COMM_WORLD, status);
  std::abort();
}

}  // namespace sparccl::bench
