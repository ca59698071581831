// The same for functions that came after NCCL 2.18. Their types are those of their ABI: nccl.h,
// which may or may not declare them, is not included.
#include "shim/nccl/later.hpp"

using namespace sparccl::shim::nccl::later;

#pragma GCC visibility push(default)
extern "C" {

int ncclCommInitRankScalable(void** comm, int size, int rank, int ids, void* id, void* config) {
  return init_rank_scalable(comm, size, rank, ids, id, config);
}

int ncclCommShrink(void* comm, int* excluded, int count, void** child, void* config, int flags) {
  return shrink(comm, excluded, count, child, config, flags);
}

int ncclCommRevoke(void* comm, int flags) { return revoke(comm, flags); }

int ncclGroupSimulateEnd(void* info) { return simulate_group_end(info); }

}  // extern "C"
#pragma GCC visibility pop
