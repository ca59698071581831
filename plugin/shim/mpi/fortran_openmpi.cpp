// Open MPI's Fortran functions call PMPI: without these, calls from Fortran would pass unseen. The
// names are those that compilers give to one function, and the one that mpi_f08 calls.
#include <dlfcn.h>
#include <mpi.h>

#include <array>

#include "shim/mpi/fortran.hpp"

using namespace sparccl::shim::mpi;

namespace {

using Init = void(MPI_Fint* error);
using InitThread = void(MPI_Fint* required, MPI_Fint* provided, MPI_Fint* error);
using Finalize = void(MPI_Fint* error);
using CommFree = void(MPI_Fint* comm, MPI_Fint* error);
using Allreduce = void(char* send, char* recv, MPI_Fint* count, MPI_Fint* type, MPI_Fint* op,
                       MPI_Fint* comm, MPI_Fint* error);
using Iallreduce = void(char* send, char* recv, MPI_Fint* count, MPI_Fint* type, MPI_Fint* op,
                        MPI_Fint* comm, MPI_Fint* request, MPI_Fint* error);

/// Whether `buffer` is Fortran's constant of that name: the address of a common block, under one of
/// four names in whatever the program has loaded.
bool is_constant(const void* buffer, const std::array<const char*, 4>& names) {
  for (const char* const name : names) {
    const void* const address = dlsym(RTLD_DEFAULT, name);
    if (address != nullptr && address == buffer) return true;
  }
  void* const library = dlopen("libmpi_mpifh.so.40", RTLD_LAZY | RTLD_NOLOAD);
  if (library == nullptr) return false;
  bool found = false;
  for (const char* const name : names) found = found || dlsym(library, name) == buffer;
  dlclose(library);
  return found;
}

const void* send_buffer(const void* buffer) {
  constexpr std::array in_place{"mpi_fortran_in_place_", "mpi_fortran_in_place",
                                "mpi_fortran_in_place__", "MPI_FORTRAN_IN_PLACE"};
  constexpr std::array bottom{"mpi_fortran_bottom_", "mpi_fortran_bottom", "mpi_fortran_bottom__",
                              "MPI_FORTRAN_BOTTOM"};
  if (is_constant(buffer, in_place)) return MPI_IN_PLACE;
  return is_constant(buffer, bottom) ? MPI_BOTTOM : buffer;
}

}  // namespace

#pragma GCC visibility push(default)
extern "C" {

void mpi_init_(MPI_Fint* error) { report(error, MPI_Init(nullptr, nullptr)); }

void mpi_init_thread_(MPI_Fint* required, MPI_Fint* provided, MPI_Fint* error) {
  fortran_init_thread(required, provided, error);
}

void mpi_finalize_(MPI_Fint* error) { report(error, MPI_Finalize()); }

void mpi_comm_free_(MPI_Fint* comm, MPI_Fint* error) { fortran_end(MPI_Comm_free, comm, error); }

void mpi_comm_disconnect_(MPI_Fint* comm, MPI_Fint* error) {
  fortran_end(MPI_Comm_disconnect, comm, error);
}

void mpi_allreduce_(char* send, char* recv, MPI_Fint* count, MPI_Fint* type, MPI_Fint* op,
                    MPI_Fint* comm, MPI_Fint* error) {
  report(error, MPI_Allreduce(send_buffer(send), recv, *count, MPI_Type_f2c(*type), MPI_Op_f2c(*op),
                              MPI_Comm_f2c(*comm)));
}

void mpi_iallreduce_(char* send, char* recv, MPI_Fint* count, MPI_Fint* type, MPI_Fint* op,
                     MPI_Fint* comm, MPI_Fint* request, MPI_Fint* error) {
  MPI_Request handle = MPI_REQUEST_NULL;
  report(error, MPI_Iallreduce(send_buffer(send), recv, *count, MPI_Type_f2c(*type),
                               MPI_Op_f2c(*op), MPI_Comm_f2c(*comm), &handle));
  *request = MPI_Request_c2f(handle);
}

[[gnu::alias("mpi_init_")]] Init mpi_init, mpi_init__, MPI_INIT, ompi_init_f;
[[gnu::alias("mpi_init_thread_")]] InitThread mpi_init_thread, mpi_init_thread__, MPI_INIT_THREAD,
    ompi_init_thread_f;
[[gnu::alias("mpi_finalize_")]] Finalize mpi_finalize, mpi_finalize__, MPI_FINALIZE,
    ompi_finalize_f;
[[gnu::alias("mpi_comm_free_")]] CommFree mpi_comm_free, mpi_comm_free__, MPI_COMM_FREE,
    ompi_comm_free_f;
[[gnu::alias("mpi_comm_disconnect_")]] CommFree mpi_comm_disconnect, mpi_comm_disconnect__,
    MPI_COMM_DISCONNECT, ompi_comm_disconnect_f;
[[gnu::alias("mpi_allreduce_")]] Allreduce mpi_allreduce, mpi_allreduce__, MPI_ALLREDUCE,
    ompi_allreduce_f;
[[gnu::alias("mpi_iallreduce_")]] Iallreduce mpi_iallreduce, mpi_iallreduce__, MPI_IALLREDUCE,
    ompi_iallreduce_f;

}  // extern "C"
#pragma GCC visibility pop
