// A request of MPI's that this library completes, from another thread.
#pragma once

#include <mpi.h>

namespace sparccl::shim::mpi {

/// Two makers. Generalized requests (promise_grequest.cpp) give any code back. MPICH 4.0 ends the
/// program where MPI_Waitall finds one beside MPI_REQUEST_NULL; there a request is a receive from
/// this process itself (promise_receive.cpp), and a failure shows as MPI_ERR_TRUNCATE.
class Promise {
 public:
  Promise() = default;
  Promise(const Promise&) = delete;
  Promise& operator=(const Promise&) = delete;

  /// Once, right after MPI_Init.
  static void prepare();

  /// Of the program's thread. comm: whose error handler is called if the request fails. Returns a
  /// code of MPI's.
  [[nodiscard]] int open(MPI_Comm comm, MPI_Request* request);

  /// Of the worker's thread, once: completes the request, with this code.
  void keep(int code) noexcept;

 private:
  struct State;
  State* state_ = nullptr;  // freed when MPI is done with it
};

}  // namespace sparccl::shim::mpi
