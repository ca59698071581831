// The functions of NCCL that this library stands before. What is not here is not touched.
#include <nccl.h>

#include "shim/nccl/group.hpp"
#include "shim/nccl/known.hpp"
#include "shim/nccl/life.hpp"
#include "shim/nccl/real.hpp"

using namespace sparccl::shim::nccl;

namespace {

/// A handle that was given out is a new communicator, whatever it was before.
ncclResult_t given_out(ncclResult_t code, const ncclComm_t* handles, int count) noexcept {
  if (code != ncclSuccess && code != ncclInProgress) return code;
  for (int i = 0; handles != nullptr && i < count; ++i) end(handles[i]);
  return code;
}

}  // namespace

#pragma GCC visibility push(default)
extern "C" {

ncclResult_t ncclCommInitRank(ncclComm_t* comm, int size, ncclUniqueId id, int rank) {
  communicator_made(&id, sizeof(id), rank, size);
  return given_out(real::comm_init_rank(comm, size, id, rank), comm, 1);
}

ncclResult_t ncclCommInitRankConfig(ncclComm_t* comm, int size, ncclUniqueId id, int rank,
                                    ncclConfig_t* config) {
  communicator_made(&id, sizeof(id), rank, size);
  return given_out(real::comm_init_rank_config(comm, size, id, rank, config), comm, 1);
}

ncclResult_t ncclCommInitAll(ncclComm_t* comms, int size, const int* devices) {
  communicator_made("", 0, 0, size);
  return given_out(real::comm_init_all(comms, size, devices), comms, size);
}

ncclResult_t ncclCommSplit(ncclComm_t comm, int color, int key, ncclComm_t* child,
                           ncclConfig_t* config) {
  return given_out(real::comm_split(comm, color, key, child, config), child, 1);
}

ncclResult_t ncclCommFinalize(ncclComm_t comm) {
  end(comm);
  return real::comm_finalize(comm);
}

ncclResult_t ncclCommDestroy(ncclComm_t comm) {
  end(comm);
  return real::comm_destroy(comm);
}

ncclResult_t ncclCommAbort(ncclComm_t comm) {
  abort(comm);
  return real::comm_abort(comm);
}

/// What NCCL asks itself it must hear of itself alone: it finalizes nothing that has failed.
ncclResult_t ncclCommGetAsyncError(ncclComm_t comm, ncclResult_t* error) {
  const ncclResult_t code = real::comm_get_async_error(comm, error);
  if (code != ncclSuccess || (*error != ncclSuccess && *error != ncclInProgress)) return code;
  if (is_in_nccl(__builtin_return_address(0))) return code;
  const std::shared_ptr<Comm> known = known_comm(comm);
  const ncclResult_t ours = known != nullptr ? known->async_error() : ncclSuccess;
  if (ours != ncclSuccess) *error = ours;
  return code;
}

ncclResult_t ncclGroupStart() {
  const ncclResult_t code = real::group_start();
  if (code == ncclSuccess) group_started();
  return code;
}

ncclResult_t ncclGroupEnd() {
  group_ended();
  return real::group_end();
}

ncclResult_t ncclAllReduce(const void* send, void* recv, size_t count, ncclDataType_t type,
                           ncclRedOp_t op, ncclComm_t handle, cudaStream_t stream) {
  const std::shared_ptr<Comm> comm = comm_of(handle);
  if (comm == nullptr) return real::all_reduce(send, recv, count, type, op, handle, stream);
  return comm->all_reduce({send, recv, count, type, op, handle, stream});
}

}  // extern "C"
#pragma GCC visibility pop
