/* Opt-in: ranks that reach each other by functions of the caller's: a framework's process group, a
 * socket, a simulator. Part of libsparccl. */
#ifndef SPARCCL_TRANSPORT_H_
#define SPARCCL_TRANSPORT_H_

#include <sparccl/sparccl.h>

#ifdef __cplusplus
extern "C" {
#endif

#define SPARCCL_TRANSPORT_MAGIC 0x73706374u

/* Always begin with SPARCCL_TRANSPORT_INITIALIZER: it carries the size and version that this header
 * was compiled with.
 *
 * Functions that return int return 0, or a code of the caller's that the error then names. They are
 * collective: every rank calls the same one, in the same order, with the same sizes. They are
 * called from the thread that called the library, return when the buffers may be used again, also
 * when they fail, and must not call functions of the communicator or throw. What they cannot end in
 * time is an error of theirs: the library has no timeout here. */
typedef struct sparcclTransport_v1 {
  size_t size;
  unsigned int magic;
  unsigned int version;
  int rank;      /* in [0, nranks) */
  int nranks;    /* at least 1 */
  void* context; /* passed to every function; may be NULL */

  /* slots: [nranks][bytesPerRank] of host memory. In place: this rank's slot is sent, the others
   * are filled, in rank order. bytesPerRank is at least 1. Whatever else an exchange takes is made
   * of it and sends more than it has to: each rank's whole send buffer to every rank where slots
   * are sent to one rank each or sums are made, and to all ranks where a group of them would do. */
  int (*allGather)(void* context, void* slots, size_t bytesPerRank);

  /* Dense: recv = op over the ranks' send. send, recv: [count] of datatype, count at least 1, equal
   * or disjoint. Every rank must get the same bits. May be NULL: allGather then does it, in rank
   * order, which sends nranks - 1 times the tensor. */
  int (*allReduce)(void* context, const void* send, void* recv, size_t count,
                   sparcclDataType_t datatype, sparcclRedOp_t op);

  /* This rank makes no further calls, for that reason: ranks that wait for it should fail. From the
   * thread of the calls, at most once. May be NULL. */
  void (*giveUp)(void* context, sparcclResult_t reason);

  /* sparcclCommAbort: makes a function above that waits on another thread fail soon. From any
   * thread, at any time until sparcclCommDestroy. May be NULL: such a wait then goes on. */
  void (*abort)(void* context);
} sparcclTransport_t;

#define SPARCCL_TRANSPORT_INITIALIZER                                                            \
  {                                                                                              \
    sizeof(sparcclTransport_t), SPARCCL_TRANSPORT_MAGIC, SPARCCL_VERSION_CODE, 0, 0, NULL, NULL, \
        NULL, NULL, NULL                                                                         \
  }

/* Not collective: calls nothing of *transport, which is copied; its context must live until
 * sparcclCommDestroy has returned. config may be NULL; its timeoutMs must be 0. Calls on *comm
 * block. A function that fails makes its call return sparcclRemoteError, or sparcclAborted after
 * sparcclCommAbort, and the communicator cannot be used any more. */
SPARCCL_API sparcclResult_t sparcclCommInitTransport(sparcclComm_t* comm,
                                                     const sparcclTransport_t* transport,
                                                     const sparcclConfig_t* config);

#ifdef __cplusplus
}
#endif

#endif
