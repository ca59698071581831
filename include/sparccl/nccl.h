/* Opt-in: ranks are those of an NCCL communicator, for C. Link sparccl::cuda. See nccl.hpp. */
#ifndef SPARCCL_NCCL_H_
#define SPARCCL_NCCL_H_

#include <sparccl/sparccl.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct ncclComm* ncclComm_t; /* as in nccl.h */

/* Collective over nccl_comm, which is split off and may be destroyed afterwards. config may be
 * NULL. Blocks until every rank has called: one thread a rank. Calls on *comm are asynchronous on
 * their stream, a cudaStream_t. */
SPARCCL_API sparcclResult_t sparcclCommInitNccl(sparcclComm_t* comm, ncclComm_t nccl_comm,
                                                const sparcclConfig_t* config);

#ifdef __cplusplus
}
#endif

#endif
