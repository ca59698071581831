// The same with MPI 4's counts.
#include <mpi.h>

#include "shim/mpi/dispatch.hpp"

using namespace sparccl::shim::mpi;

#pragma GCC visibility push(default)
extern "C" {

int MPI_Allreduce_c(const void* send, void* recv, MPI_Count count, MPI_Datatype type, MPI_Op op,
                    MPI_Comm comm) {
  const auto dense = [&] { return PMPI_Allreduce_c(send, recv, count, type, op, comm); };
  if (count < 0) return dense();
  return allreduce({send, recv, static_cast<std::uint64_t>(count), type, op, comm}, dense);
}

int MPI_Iallreduce_c(const void* send, void* recv, MPI_Count count, MPI_Datatype type, MPI_Op op,
                     MPI_Comm comm, MPI_Request* request) {
  const auto dense = [&] { return PMPI_Iallreduce_c(send, recv, count, type, op, comm, request); };
  if (count < 0) return dense();
  return iallreduce({send, recv, static_cast<std::uint64_t>(count), type, op, comm}, request,
                    dense);
}

}  // extern "C"
#pragma GCC visibility pop
