// Opt-in: ranks are those of an NCCL communicator, tensors are device memory. Link sparccl::cuda.
#pragma once

#include <span>
#include <vector>

#include <sparccl/sparccl.hpp>

// nccl.h declares the same; without it this header needs neither NCCL nor CUDA to be installed.
typedef struct ncclComm* ncclComm_t;

namespace sparccl {

/// Collective over `communicator`, which is split off (ncclCommSplit): its own traffic is never
/// touched, and it may be destroyed before the result. Its device must be present. Blocks until
/// every rank has called: who drives several ranks takes nccl_communicators().
/// NCCL 2.18 or later, found at run time: the library that the process has loaded already, or
/// libnccl.so.2, or what SPARCCL_NCCL_LIBRARY names.
///
/// Calls with a dense result are asynchronous: they enqueue on the caller's stream, never wait for
/// the device, and may be captured in a CUDA graph after one eager call of the same tensor. (That
/// call waits until every rank has called: NCCL connects them then.) What goes wrong later (a rank
/// that disagrees, a bad packet, an error of NCCL, a timeout) shows in Communicator::async_error()
/// and is thrown by the next call; results of the steps concerned are NaN, those of a dense
/// allreduce anything. One thread that drives several ranks encloses their calls in a Group; none
/// may lie between ncclGroupStart and ncclGroupEnd. NonFinite::error is refused.
///
/// CommunicatorOptions::timeout_ms counts from when the device reaches an exchange; replays of
/// graphs are not timed. Within a host NCCL tells no rank that another has failed or aborted:
/// without a timeout the others wait, until they are aborted as well. Graphs are destroyed before
/// the communicator whose calls they hold. Under ncclConfig_t::splitShare of `communicator`, an
/// abort is one of both.
///
/// Throws Error(system_error) where NCCL, the driver or a device is missing or too old, naming what
/// was found and what is expected; Error(timeout) where a rank makes no communicator in time, and
/// `communicator` can then only be aborted.
[[nodiscard]] SPARCCL_API Communicator nccl_communicator(ncclComm_t communicator,
                                                         const CommunicatorOptions& options = {});

/// The same for several ranks of one process (ncclCommInitAll), by one thread: each with the device
/// of its NCCL communicator. Calls of the results belong in a Group.
[[nodiscard]] SPARCCL_API std::vector<Communicator> nccl_communicators(
    std::span<const ncclComm_t> communicators, const CommunicatorOptions& options = {});

}  // namespace sparccl
