/* The C API, in the manner of nccl.h. Plain C11.
 *
 * Every function returns a code; sparcclGetLastError has the sentence that belongs to it. A failed
 * call leaves residual and history of its tensor as they were. Handles that were destroyed are
 * recognised, never followed. All functions may be called from any thread, but one communicator and
 * its tensors from one thread at a time, except sparcclCommAbort and sparcclCommGetAsyncError. */
#ifndef SPARCCL_H_
#define SPARCCL_H_

#include <stddef.h>
#include <stdint.h>

#include <sparccl/export.h>

#define SPARCCL_MAJOR 0
#define SPARCCL_MINOR 1
#define SPARCCL_PATCH 0
#define SPARCCL_VERSION_CODE (SPARCCL_MAJOR * 10000 + SPARCCL_MINOR * 100 + SPARCCL_PATCH)

#ifdef __cplusplus
extern "C" {
#endif

typedef struct sparcclComm* sparcclComm_t;     /* one rank's end of a group of ranks */
typedef struct sparcclTensor* sparcclTensor_t; /* residual and history of one named tensor */

/* 0 to 7 equal ncclResult_t. */
typedef enum {
  sparcclSuccess = 0,
  sparcclUnhandledCudaError = 1,
  sparcclSystemError = 2,
  sparcclInternalError = 3,
  sparcclInvalidArgument = 4,
  sparcclInvalidUsage = 5,
  sparcclRemoteError = 6,
  sparcclInProgress = 7,
  sparcclMismatch = 8,   /* the ranks disagree about the call */
  sparcclBadPacket = 9,  /* a peer sent bytes that are not a packet of this tensor */
  sparcclBadState = 10,  /* a state file is truncated, corrupted, or of another tensor */
  sparcclNonFinite = 11, /* a gradient was not finite, under sparcclNonFiniteError */
  sparcclTimeout = 12,   /* a peer did not arrive in time */
  sparcclAborted = 13    /* the communicator was aborted */
} sparcclResult_t;

/* Equal to ncclDataType_t. */
typedef enum {
  sparcclInt8 = 0,
  sparcclChar = 0,
  sparcclUint8 = 1,
  sparcclInt32 = 2,
  sparcclInt = 2,
  sparcclUint32 = 3,
  sparcclInt64 = 4,
  sparcclUint64 = 5,
  sparcclFloat16 = 6,
  sparcclHalf = 6,
  sparcclFloat32 = 7,
  sparcclFloat = 7,
  sparcclFloat64 = 8,
  sparcclDouble = 8,
  sparcclBfloat16 = 9
} sparcclDataType_t;

/* Equal to ncclRedOp_t. */
typedef enum {
  sparcclSum = 0,
  sparcclProd = 1,
  sparcclMax = 2,
  sparcclMin = 3,
  sparcclAvg = 4
} sparcclRedOp_t;

typedef enum {
  sparcclDistortionPrevious = 0, /* divide by the value sent last step (the default) */
  sparcclDistortionCurrent = 1   /* divide by this step's accumulated value */
} sparcclDistortion_t;

typedef enum {
  sparcclNonFinitePropagate = 0, /* the result is NaN on every rank (the default) */
  sparcclNonFiniteError = 1 /* as propagate, and the call returns sparcclNonFinite; not over NCCL */
} sparcclNonFinite_t;

/* How a step's gradient reaches the other ranks; enum Path of types.hpp says what each is. */
typedef enum {
  sparcclPathAuto = 0, /* by measured costs (SPARCCL_CALIBRATION): not the same bits in every run */
  sparcclPathDense = 1,
  sparcclPathAllgather = 2, /* the default */
  sparcclPathSplit = 3,
  sparcclPathHierarchical = 4
} sparcclPath_t;

#define SPARCCL_WIRE_AUTO (-1) /* values travel in the type of the tensor */
#define SPARCCL_CONFIG_MAGIC 0x7370636cu

/* Always begin with SPARCCL_CONFIG_INITIALIZER: it carries the size and version that this header
 * was compiled with. */
typedef struct sparcclConfig_v1 {
  size_t size;
  unsigned int magic;
  unsigned int version;
  double density;     /* share of the entries sent per step, in (0, 1] */
  uint64_t k;         /* number of entries sent per step; overrides density unless 0 */
  double mu;          /* RegTop-k's mu, >= 0; 0 is Top-k */
  int distortion;     /* sparcclDistortion_t */
  int wire;           /* sparcclDataType_t of the values on the wire, or SPARCCL_WIRE_AUTO */
  int nonFinite;      /* sparcclNonFinite_t */
  int path;           /* sparcclPath_t */
  uint64_t timeoutMs; /* communicators: wait for a rank at most so long; 0: for ever */
  int ranksPerNode;   /* communicators: ranks of a node, in order; 0: as the transport finds them */
  int reserved;       /* 0 */
} sparcclConfig_t;

#define SPARCCL_CONFIG_INITIALIZER                                                      \
  {                                                                                     \
    sizeof(sparcclConfig_t), SPARCCL_CONFIG_MAGIC, SPARCCL_VERSION_CODE, 0.001, 0, 2.0, \
        sparcclDistortionPrevious, SPARCCL_WIRE_AUTO, sparcclNonFinitePropagate,        \
        sparcclPathAllgather, 0, 0, 0                                                   \
  }

#define SPARCCL_STATS_MAGIC 0x73706373u

/* As struct Stats of sparccl.hpp says, field by field: counts since the tensor was made. Begin with
 * SPARCCL_STATS_INITIALIZER. */
typedef struct sparcclStats_v1 {
  size_t size;
  unsigned int magic;
  unsigned int version;
  uint64_t steps;
  uint64_t nonFiniteSteps;
  uint64_t entries;        /* that this rank sent */
  uint64_t fallbacks;      /* steps that read the residual twice */
  uint64_t wireBytes;      /* that this rank sends in a ring: (P-1) x packet */
  uint64_t denseBytes;     /* the same for a dense ring allreduce: 2 (P-1)/P x tensor */
  uint64_t packetBytes;    /* of one rank, under the present density */
  uint64_t residualBytes;  /* memory held for the residual */
  uint64_t workspaceBytes; /* memory held besides */
  double waitSeconds;      /* by the calling thread; 0 over NCCL, as those that follow */
  double accumulateSeconds;
  double selectSeconds;
  double packSeconds;
  double exchangeSeconds;
  double mergeSeconds;
} sparcclStats_t;

#define SPARCCL_STATS_INITIALIZER                                                                 \
  {                                                                                               \
    sizeof(sparcclStats_t), SPARCCL_STATS_MAGIC, SPARCCL_VERSION_CODE, 0, 0, 0, 0, 0, 0, 0, 0, 0, \
        0, 0, 0, 0, 0, 0                                                                          \
  }

/* SPARCCL_VERSION_CODE of the library that is linked. */
SPARCCL_API sparcclResult_t sparcclGetVersion(int* version);

/* A static string for a code, also for one outside the enumeration. */
SPARCCL_API const char* sparcclGetErrorString(sparcclResult_t result);

/* The sentence of the last failed call of this thread, "" if none failed. comm is as in
 * ncclGetLastError and may be NULL. Valid until the next failed call of this thread. */
SPARCCL_API const char* sparcclGetLastError(sparcclComm_t comm);

/* comms: [nranks]. Ranks are threads of this process: each call blocks until every rank has made
 * it, so each communicator needs a thread of its own. config: defaults for the tensors that
 * sparcclAllReduce makes; may be NULL. */
SPARCCL_API sparcclResult_t sparcclCommInitAll(sparcclComm_t* comms, int nranks,
                                               const sparcclConfig_t* config);

SPARCCL_API sparcclResult_t sparcclCommCount(const sparcclComm_t comm, int* count);
SPARCCL_API sparcclResult_t sparcclCommUserRank(const sparcclComm_t comm, int* rank);

/* *asyncError: sparcclSuccess, or why the communicator cannot be used any more; sparcclGetLastError
 * of this thread then has the sentence. Does not wait. Over NCCL this is where failures of calls
 * that have returned show. */
SPARCCL_API sparcclResult_t sparcclCommGetAsyncError(sparcclComm_t comm,
                                                     sparcclResult_t* asyncError);

/* Calls of this thread between the two are carried out together, at the outermost end: what one
 * thread that drives several ranks over NCCL needs, as with ncclGroupStart and ncclGroupEnd. Calls
 * of communicators that block are not held back. Do not open a group of NCCL's around calls of this
 * library. */
SPARCCL_API sparcclResult_t sparcclGroupStart(void);
SPARCCL_API sparcclResult_t sparcclGroupEnd(void);

/* Ends calls that wait for a rank which has not arrived; they and all later calls return
 * sparcclAborted. The handle is still to be destroyed. */
SPARCCL_API sparcclResult_t sparcclCommAbort(sparcclComm_t comm);

/* Also ends the use of its tensors: their calls return sparcclInvalidUsage. Tensors are still to be
 * destroyed. */
SPARCCL_API sparcclResult_t sparcclCommDestroy(sparcclComm_t comm);

/* ncclAllReduce's signature. sum and avg of float16, bfloat16, float32 and float64 go the sparse
 * way; residual and history are found by (sendbuff, count, datatype) and made, with the
 * communicator's config, at the first call: keep gradients in the same buffers, and call in the
 * same order on every rank (tensors of one count and type whose first calls come in different
 * orders cannot be told apart: use sparcclTensorCreate where that may happen). Any other op or type
 * is reduced densely. Buffers: [count], host memory (over NCCL, memory of its device), equal or
 * disjoint. count 0 does nothing, as in NCCL, and waits for nobody. stream: NULL on hosts, which
 * block; over NCCL a cudaStream_t on which the call is enqueued. */
SPARCCL_API sparcclResult_t sparcclAllReduce(const void* sendbuff, void* recvbuff, size_t count,
                                             sparcclDataType_t datatype, sparcclRedOp_t op,
                                             sparcclComm_t comm, void* stream);

/* The explicit way: one handle per tensor. name is copied; it names the tensor in errors and must
 * be the same on every rank. config: NULL for the communicator's. Not collective. */
SPARCCL_API sparcclResult_t sparcclTensorCreate(sparcclComm_t comm, const char* name, size_t count,
                                                sparcclDataType_t datatype,
                                                const sparcclConfig_t* config,
                                                sparcclTensor_t* tensor);

/* Accumulates sendbuff / loss_scale, sends k entries, writes the sum or mean of what all ranks
 * sent, zero elsewhere, not scaled back. Ops other than sum and avg are reduced densely, with
 * loss_scale 1 only. Buffers, stream and blocking as in sparcclAllReduce. */
SPARCCL_API sparcclResult_t sparcclTensorAllReduce(sparcclTensor_t tensor, const void* sendbuff,
                                                   void* recvbuff, sparcclRedOp_t op,
                                                   double loss_scale, void* stream);

/* From the next call on; the same value on every rank. Residual and history stay. */
SPARCCL_API sparcclResult_t sparcclTensorSetDensity(sparcclTensor_t tensor, double density);

/* RegTop-k's mu from the next call on, 0 for Top-k; the same on every rank. Residual and history
 * stay. */
SPARCCL_API sparcclResult_t sparcclTensorSetMu(sparcclTensor_t tensor, double mu);

/* From the next call on; the same path on every rank. Nothing of the residual is lost. */
SPARCCL_API sparcclResult_t sparcclTensorSetPath(sparcclTensor_t tensor, sparcclPath_t path);

/* The path of the next call, sparcclPathAuto where it is not chosen yet, and why: a sentence that
 * is cut to `size` bytes with its end. reason may be NULL. */
SPARCCL_API sparcclResult_t sparcclTensorGetPath(sparcclTensor_t tensor, sparcclPath_t* path,
                                                 char* reason, size_t size);

/* stats: begins with SPARCCL_STATS_INITIALIZER; filled in. */
SPARCCL_API sparcclResult_t sparcclTensorGetStats(sparcclTensor_t tensor, sparcclStats_t* stats);

/* Residual, history and step of this rank, to and from a file; see SparseAllreduce::save. */
SPARCCL_API sparcclResult_t sparcclTensorSave(sparcclTensor_t tensor, const char* path);
SPARCCL_API sparcclResult_t sparcclTensorLoad(sparcclTensor_t tensor, const char* path);

SPARCCL_API sparcclResult_t sparcclTensorDestroy(sparcclTensor_t tensor);

#ifdef __cplusplus
}
#endif

#endif
