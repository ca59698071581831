// MPICH's Fortran functions call those of C, which are seen, but for these of mpi_f08: they call
// PMPI.
#include <mpi.h>

#include "shim/mpi/fortran.hpp"

using namespace sparccl::shim::mpi;

#pragma GCC visibility push(default)
extern "C" {

void mpi_init_f08_(MPI_Fint* error) { report(error, MPI_Init(nullptr, nullptr)); }

void mpi_init_thread_f08_(MPI_Fint* required, MPI_Fint* provided, MPI_Fint* error) {
  fortran_init_thread(required, provided, error);
}

void mpi_finalize_f08_(MPI_Fint* error) { report(error, MPI_Finalize()); }

void mpi_comm_free_f08_(MPI_Fint* comm, MPI_Fint* error) {
  fortran_end(MPI_Comm_free, comm, error);
}

void mpi_comm_disconnect_f08_(MPI_Fint* comm, MPI_Fint* error) {
  fortran_end(MPI_Comm_disconnect, comm, error);
}

}  // extern "C"
#pragma GCC visibility pop
