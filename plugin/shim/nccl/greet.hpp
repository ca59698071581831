// The first thing that the ranks of a communicator tell each other: whether all of them have the
// shim, and the same settings.
#pragma once

#include <cuda_runtime.h>
#include <nccl.h>

#include <atomic>
#include <cstdint>

#include "shim/greeting.hpp"

namespace sparccl::shim::nccl {

/// A communicator of the program's, as NCCL describes it.
struct Member {
  ncclComm_t comm = nullptr;
  int rank = 0;
  int size = 1;
  int device = 0;
};

/// Collective, on the program's communicator and stream, before anything else of ours. Its device
/// must be present. Waits until every rank has called, timeout_ms at most (0: for ever) and no
/// longer than `aborted` is false. Throws Error(timeout | aborted | what require_agreement() does).
void greet(const Member& member, const Greeting& own, cudaStream_t stream, std::uint64_t timeout_ms,
           const std::atomic<bool>& aborted);

}  // namespace sparccl::shim::nccl
