// What a Fortran function does with its arguments before it is one of C.
#pragma once

#include <mpi.h>

namespace sparccl::shim::mpi {

/// mpi_f08 may leave the last argument out.
inline void report(MPI_Fint* error, int code) {
  if (error != nullptr) *error = code;
}

inline void fortran_init_thread(const MPI_Fint* required, MPI_Fint* provided, MPI_Fint* error) {
  int level = MPI_THREAD_SINGLE;
  report(error, MPI_Init_thread(nullptr, nullptr, *required, &level));
  *provided = level;
}

/// end: MPI_Comm_free or MPI_Comm_disconnect.
inline void fortran_end(int (*end)(MPI_Comm*), MPI_Fint* comm, MPI_Fint* error) {
  MPI_Comm handle = MPI_Comm_f2c(*comm);
  report(error, end(&handle));
  *comm = MPI_Comm_c2f(handle);
}

}  // namespace sparccl::shim::mpi
