// The functions of MPI that this library stands before. What is not here is not touched.
#include <mpi.h>

#include "shim/mpi/dispatch.hpp"
#include "shim/mpi/life.hpp"

using namespace sparccl::shim::mpi;

#pragma GCC visibility push(default)
extern "C" {

int MPI_Init(int* argc, char*** argv) { return init(argc, argv); }

int MPI_Init_thread(int* argc, char*** argv, int required, int* provided) {
  return init_thread(argc, argv, required, provided);
}

int MPI_Finalize(void) {
  before_finalize();  // while all of MPI still works
  return PMPI_Finalize();
}

int MPI_Abort(MPI_Comm comm, int code) {
  last_words("which aborts the job");
  return PMPI_Abort(comm, code);
}

int MPI_Comm_free(MPI_Comm* comm) {
  if (comm != nullptr) Comm::end(*comm);
  return PMPI_Comm_free(comm);
}

int MPI_Comm_disconnect(MPI_Comm* comm) {
  if (comm != nullptr) Comm::end(*comm);
  return PMPI_Comm_disconnect(comm);
}

int MPI_Allreduce(const void* send, void* recv, int count, MPI_Datatype type, MPI_Op op,
                  MPI_Comm comm) {
  const auto dense = [&] { return PMPI_Allreduce(send, recv, count, type, op, comm); };
  if (count < 0) return dense();
  return allreduce({send, recv, static_cast<std::uint64_t>(count), type, op, comm}, dense);
}

int MPI_Iallreduce(const void* send, void* recv, int count, MPI_Datatype type, MPI_Op op,
                   MPI_Comm comm, MPI_Request* request) {
  const auto dense = [&] { return PMPI_Iallreduce(send, recv, count, type, op, comm, request); };
  if (count < 0) return dense();
  return iallreduce({send, recv, static_cast<std::uint64_t>(count), type, op, comm}, request,
                    dense);
}

}  // extern "C"
#pragma GCC visibility pop
