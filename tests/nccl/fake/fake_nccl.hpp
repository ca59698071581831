// What tests say to the stand-in for NCCL, and ask of it. Ranks are threads of one process, or one
// thread; devices are those of tests/simt. It keeps NCCL's rules where breaking them would hang,
// corrupt or crash: see docs/testing-simt.md and the comments of each function below.
#pragma once

#include <nccl.h>

#include <cstddef>

extern "C" {

/// Everything below as at the start; misuse is forgotten. Communicators stay.
void fakeNcclReset();

/// What ncclGetVersion says; FAKE_NCCL_VERSION of the environment or NCCL_VERSION_CODE by default.
void fakeNcclSetVersion(int version);

/// The next call of this function ("ncclAllGather"), on any rank, returns this and does nothing.
void fakeNcclFailNext(const char* function, ncclResult_t result);

/// From now on this rank's nonblocking communicators report this from ncclCommGetAsyncError.
void fakeNcclSetAsyncError(int rank, ncclResult_t result);

/// Whether an aborted rank is seen by the others as ncclRemoteError, as over a network. Not by
/// default, as within a host.
void fakeNcclSetAbortsAreHeard(bool heard);

/// This rank's next collective call does not return before its communicator is aborted: a launch
/// that is stuck behind a full queue of the device.
void fakeNcclStickNext(int rank);

/// Communicators that were neither destroyed nor aborted; how many were aborted, in all.
std::size_t fakeNcclLive();
std::size_t fakeNcclAborted();

/// Collectives that have been carried out on all ranks.
std::size_t fakeNcclCompleted();

/// What NCCL would not have survived: a communicator used after its end, or by two threads at once,
/// or aborted while it was in a thread's open group. The first; empty if nothing was misused.
const char* fakeNcclMisuse();
}
