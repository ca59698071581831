#include "shim/mpi/promise.hpp"

#include <atomic>
#include <memory>

namespace sparccl::shim::mpi {
namespace {

constexpr char too_much[1] = {};  // for a receive of nothing
MPI_Comm own = MPI_COMM_NULL;     // nobody else's messages
int own_rank = 0;

/// One that no receive which is open has.
int next_tag() {
  static std::atomic<unsigned> last = 0;
  return static_cast<int>(++last % 32768);  // MPI's least upper bound of tags is 32767
}

}  // namespace

struct Promise::State {
  int tag = 0;
};

/// Not later: making a communicator waits for others that are being made. Not of MPI_COMM_SELF,
/// where MPICH 4.0 loses messages between threads.
void Promise::prepare() {
  PMPI_Comm_dup(MPI_COMM_WORLD, &own);
  PMPI_Comm_rank(own, &own_rank);
}

int Promise::open(MPI_Comm comm, MPI_Request* request) {
  MPI_Errhandler handler = MPI_ERRHANDLER_NULL;
  PMPI_Comm_get_errhandler(comm, &handler);
  PMPI_Comm_set_errhandler(own, handler);
  PMPI_Errhandler_free(&handler);
  auto state = std::make_unique<State>();
  state->tag = next_tag();
  const int code = PMPI_Irecv(nullptr, 0, MPI_BYTE, own_rank, state->tag, own, request);
  if (code == MPI_SUCCESS) state_ = state.release();
  return code;
}

void Promise::keep(int code) noexcept {
  const std::unique_ptr<State> state(state_);
  PMPI_Send(too_much, code == MPI_SUCCESS ? 0 : 1, MPI_BYTE, own_rank, state->tag, own);
}

}  // namespace sparccl::shim::mpi
