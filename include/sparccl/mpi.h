/* Opt-in: ranks are the processes of an MPI communicator, for C. Link sparccl::mpi. */
#ifndef SPARCCL_MPI_H_
#define SPARCCL_MPI_H_

#include <mpi.h>

#include <sparccl/sparccl.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Collective over mpi_comm, which is duplicated. MPI must be initialised, and must not be finalised
 * before sparcclCommDestroy. config may be NULL. */
SPARCCL_API sparcclResult_t sparcclCommInitMpi(sparcclComm_t* comm, MPI_Comm mpi_comm,
                                               const sparcclConfig_t* config);

#ifdef __cplusplus
}
#endif

#endif
