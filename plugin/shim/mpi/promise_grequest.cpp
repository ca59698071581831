#include "shim/mpi/promise.hpp"

#include <memory>

namespace sparccl::shim::mpi {

struct Promise::State {
  MPI_Request request = MPI_REQUEST_NULL;
  int code = MPI_SUCCESS;

  static int query(void* state, MPI_Status* status) {
    PMPI_Status_set_elements(status, MPI_BYTE, 0);
    PMPI_Status_set_cancelled(status, 0);
    status->MPI_SOURCE = MPI_UNDEFINED;
    status->MPI_TAG = MPI_UNDEFINED;
    return static_cast<const State*>(state)->code;
  }
  static int release(void* state) {
    delete static_cast<State*>(state);
    return MPI_SUCCESS;
  }
  /// Collectives cannot be cancelled.
  static int cancel(void*, int) { return MPI_SUCCESS; }
};

void Promise::prepare() {}

int Promise::open(MPI_Comm, MPI_Request* request) {
  auto state = std::make_unique<State>();
  const int code = PMPI_Grequest_start(State::query, State::release, State::cancel, state.get(),
                                       &state->request);
  if (code != MPI_SUCCESS) return code;
  *request = state->request;
  state_ = state.release();
  return MPI_SUCCESS;
}

void Promise::keep(int code) noexcept {
  state_->code = code;
  const MPI_Request request = state_->request;
  PMPI_Grequest_complete(request);  // from here on MPI may have freed the state
}

}  // namespace sparccl::shim::mpi
