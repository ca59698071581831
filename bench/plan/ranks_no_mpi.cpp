// In place of ranks_mpi.cpp, in builds without MPI: settings refuse --transport mpi.
#include <cstdlib>

#include "plan_ranks.hpp"
#include "plan_settings.hpp"

namespace sparccl::bench {

const bool have_mpi = false;

MpiProcess::MpiProcess(int*, char***) {
  throw UsageError("--transport mpi: this sparccl_plan was built without MPI");
}

MpiProcess::~MpiProcess() = default;

Communicator MpiProcess::communicator(const CommunicatorOptions&) const {
  throw UsageError("--transport mpi: this sparccl_plan was built without MPI");
}

void MpiProcess::abort(int status) { std::exit(status); }

}  // namespace sparccl::bench
