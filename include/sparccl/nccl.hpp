// Opt-in: ranks are those of an NCCL communicator, tensors are device memory. Link sparccl::cuda.
#pragma once

#include <sparccl/sparccl.hpp>

// nccl.h declares the same; without it this header needs neither NCCL nor CUDA to be installed.
typedef struct ncclComm* ncclComm_t;

namespace sparccl {

/// Collective over `communicator`, which is split off (ncclCommSplit): its own traffic is never
/// touched, and it may be destroyed before the result. NCCL 2.18 or later, found at run time: the
/// library that the process has loaded already, or libnccl.so.2, or what SPARCCL_NCCL_LIBRARY
/// names.
///
/// Calls on the result are asynchronous: they enqueue on the caller's stream, never wait for the
/// device, and may be captured in a CUDA graph after one eager call of the same tensor. What goes
/// wrong later (a rank that disagrees, a bad packet, an error of NCCL, a timeout) shows in
/// Communicator::async_error() and is thrown by the next call; results of the steps concerned are
/// NaN. One thread that drives several ranks encloses their calls in a Group.
///
/// Throws Error(system_error) where NCCL, the driver or a device is missing or too old, naming
/// what was found and what is expected.
[[nodiscard]] SPARCCL_API Communicator nccl_communicator(ncclComm_t communicator,
                                                         const CommunicatorOptions& options = {});

}  // namespace sparccl
