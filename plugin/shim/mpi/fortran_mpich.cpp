// MPICH's Fortran functions call those of C, which are seen, but for these of mpi_f08: they call
// PMPI.
#include <mpi.h>

namespace {

/// mpi_f08 may leave the last argument out.
void report(MPI_Fint* error, int code) {
  if (error != nullptr) *error = code;
}

}  // namespace

#pragma GCC visibility push(default)
extern "C" {

void mpi_init_f08_(MPI_Fint* error) { report(error, MPI_Init(nullptr, nullptr)); }

void mpi_init_thread_f08_(MPI_Fint* required, MPI_Fint* provided, MPI_Fint* error) {
  int level = MPI_THREAD_SINGLE;
  report(error, MPI_Init_thread(nullptr, nullptr, *required, &level));
  *provided = level;
}

void mpi_finalize_f08_(MPI_Fint* error) { report(error, MPI_Finalize()); }

void mpi_comm_free_f08_(MPI_Fint* comm, MPI_Fint* error) {
  MPI_Comm handle = MPI_Comm_f2c(*comm);
  report(error, MPI_Comm_free(&handle));
  *comm = MPI_Comm_c2f(handle);
}

void mpi_comm_disconnect_f08_(MPI_Fint* comm, MPI_Fint* error) {
  MPI_Comm handle = MPI_Comm_f2c(*comm);
  report(error, MPI_Comm_disconnect(&handle));
  *comm = MPI_Comm_c2f(handle);
}

}  // extern "C"
#pragma GCC visibility pop
