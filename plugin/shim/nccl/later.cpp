#include "shim/nccl/later.hpp"

#include "shim/nccl/group.hpp"
#include "shim/nccl/known.hpp"
#include "shim/nccl/life.hpp"
#include "shim/nccl/real.hpp"

namespace sparccl::shim::nccl::later {
namespace {

constexpr int abort_first = 1;  // NCCL_SHRINK_ABORT

constinit Real<ncclResult_t(void**, int, int, int, void*, void*)> real_init_rank_scalable(
    "ncclCommInitRankScalable");
constinit Real<ncclResult_t(void*, int*, int, void**, void*, int)> real_shrink("ncclCommShrink");
constinit Real<ncclResult_t(void*, int)> real_revoke("ncclCommRevoke");
constinit Real<ncclResult_t(void*)> real_simulate_group_end("ncclGroupSimulateEnd");

/// As given_out() of interpose.cpp.
int given_out(ncclResult_t code, void* const* handle) {
  if (code == ncclSuccess || code == ncclInProgress) end(static_cast<ncclComm_t>(*handle));
  return code;
}

}  // namespace

int init_rank_scalable(void** comm, int size, int rank, int ids, void* id, void* config) {
  communicator_made(id, id != nullptr ? sizeof(ncclUniqueId) : 0, rank, size);
  return given_out(real_init_rank_scalable(comm, size, rank, ids, id, config), comm);
}

int shrink(void* comm, int* excluded, int count, void** child, void* config, int flags) {
  const auto parent = known_comm(static_cast<ncclComm_t>(comm));
  if (parent != nullptr && (flags & abort_first) != 0) parent->abort();
  return given_out(real_shrink(comm, excluded, count, child, config, flags), child);
}

int revoke(void* comm, int flags) {
  if (const auto known = known_comm(static_cast<ncclComm_t>(comm))) known->abort();
  return real_revoke(comm, flags);
}

int simulate_group_end(void* info) {
  group_ended();
  return real_simulate_group_end(info);
}

}  // namespace sparccl::shim::nccl::later
