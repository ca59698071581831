// Groups, and how collectives get onto streams.
#pragma once

#include "comm.hpp"

namespace fake_nccl {

/// Queues a collective in the thread's group, or enqueues it.
ncclResult_t collect(ncclComm_t handle, const char* call, const Collective& own,
                     cudaStream_t stream);
ncclResult_t start_group();
ncclResult_t end_group();
/// Forgets what is in it. A number for those who do not know NCCL's types.
int drop_group();

}  // namespace fake_nccl
