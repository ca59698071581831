// What functions do that came after NCCL 2.18, by their ABI: handles are pointers, results numbers.
#pragma once

namespace sparccl::shim::nccl::later {

int init_rank_scalable(void** comm, int size, int rank, int ids, void* id, void* config);  // 2.23
int shrink(void* comm, int* excluded, int count, void** child, void* config, int flags);   // 2.27
int revoke(void* comm, int flags);                                                         // 2.28
int simulate_group_end(void* info);                                                        // 2.22

}  // namespace sparccl::shim::nccl::later
