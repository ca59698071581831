// NCCL's functions about communicators: strong pncclX and weak ncclX, as NCCL has them.
#include <cstring>
#include <utility>

#include "collectives.hpp"

#pragma weak ncclGetVersion = pncclGetVersion
#pragma weak ncclGetUniqueId = pncclGetUniqueId
#pragma weak ncclGetErrorString = pncclGetErrorString
#pragma weak ncclGetLastError = pncclGetLastError
#pragma weak ncclCommInitRank = pncclCommInitRank
#pragma weak ncclCommInitRankConfig = pncclCommInitRankConfig
#pragma weak ncclCommInitAll = pncclCommInitAll
#pragma weak ncclCommSplit = pncclCommSplit
#pragma weak ncclCommFinalize = pncclCommFinalize
#pragma weak ncclCommDestroy = pncclCommDestroy
#pragma weak ncclCommAbort = pncclCommAbort
#pragma weak ncclCommGetAsyncError = pncclCommGetAsyncError
#pragma weak ncclCommCount = pncclCommCount
#pragma weak ncclCommUserRank = pncclCommUserRank
#pragma weak ncclCommCuDevice = pncclCommCuDevice

using namespace fake_nccl;
using Clock = std::chrono::steady_clock;

namespace {

std::shared_ptr<Comm> make_comm(std::shared_ptr<World> world, int rank, int device, bool blocking) {
  auto comm = std::make_shared<Comm>();
  comm->world = std::move(world);
  comm->rank = rank;
  comm->device = device;
  comm->blocking = blocking;
  return comm;
}

bool is_blocking(const ncclConfig_t* config, bool otherwise) {
  if (config == nullptr || config->blocking == NCCL_CONFIG_UNDEF_INT) return otherwise;
  return config->blocking != 0;
}

/// Waits for what was launched. A collective that waits for a rank waits here, too.
void synchronize(Comm& comm) {
  if (comm.launched != nullptr) static_cast<void>(cudaEventSynchronize(comm.launched));
}

void release(ncclComm_t handle, Comm& comm) {
  join(comm);
  if (comm.launched != nullptr)
    static_cast<void>(cudaEventDestroy(std::exchange(comm.launched, nullptr)));
  fake_nccl::remove(handle);
}

/// A value that any rank may ask for.
template <class T>
ncclResult_t tell(ncclComm_t handle, const char* call, T* value, T Comm::*member) {
  const Visit visit(handle, call);
  if (visit.refusal() == ncclSuccess) *value = visit.comm().*member;
  return visit.refusal();
}

ncclResult_t split(const std::shared_ptr<Comm>& parent, int color, int key, ncclComm_t* child,
                   bool blocking) {
  const World::Part part = parent->world->split(parent->rank, color, key);
  if (part.world == nullptr) return ncclInternalError;
  *child = add(make_comm(part.world, part.rank, parent->device, blocking));
  return ncclSuccess;
}

}  // namespace

extern "C" {

ncclResult_t pncclGetVersion(int* version) {
  with_wishes([&](Wishes& wishes) { *version = wishes.version; });
  return ncclSuccess;
}

ncclResult_t pncclGetUniqueId(ncclUniqueId* id) {
  static std::mutex mutex;
  static int next = 1;
  const std::lock_guard<std::mutex> lock(mutex);
  std::memset(id, 0, sizeof(*id));
  std::memcpy(id, &next, sizeof(next));
  ++next;
  return ncclSuccess;
}

const char* pncclGetErrorString(ncclResult_t result) {
  switch (result) {
    case ncclSuccess: return "no error";
    case ncclUnhandledCudaError: return "unhandled cuda error";
    case ncclSystemError: return "unhandled system error";
    case ncclInternalError: return "internal error";
    case ncclInvalidArgument: return "invalid argument";
    case ncclInvalidUsage: return "invalid usage";
    case ncclRemoteError: return "remote process exited or there was a network error";
    case ncclInProgress: return "NCCL operation in progress";
    default: return "unknown result code";
  }
}

const char* pncclGetLastError(ncclComm_t) {
  thread_local std::string words;
  with_wishes([&](Wishes& wishes) { words = wishes.last_error; });
  return words.c_str();
}

ncclResult_t pncclCommInitRankConfig(ncclComm_t* comm, int ranks, ncclUniqueId id, int rank,
                                     ncclConfig_t* config) {
  static std::mutex mutex;
  static auto* const worlds = new std::map<std::string, std::weak_ptr<World>>;
  int device = 0;
  if (cudaGetDevice(&device) != cudaSuccess) return ncclUnhandledCudaError;
  const std::lock_guard<std::mutex> lock(mutex);
  std::weak_ptr<World>& known = (*worlds)[std::string(id.internal, sizeof(id.internal))];
  std::shared_ptr<World> world = known.lock();
  if (world == nullptr) known = world = std::make_shared<World>(ranks);
  if (world->size() != ranks || rank < 0 || rank >= ranks) return ncclInvalidArgument;
  *comm = add(make_comm(std::move(world), rank, device, is_blocking(config, true)));
  return ncclSuccess;
}

ncclResult_t pncclCommInitRank(ncclComm_t* comm, int ranks, ncclUniqueId id, int rank) {
  return pncclCommInitRankConfig(comm, ranks, id, rank, nullptr);
}

ncclResult_t pncclCommInitAll(ncclComm_t* comms, int count, const int* devices) {
  const auto world = std::make_shared<World>(count);
  for (int rank = 0; rank < count; ++rank) {
    comms[rank] = add(make_comm(world, rank, devices != nullptr ? devices[rank] : rank, true));
  }
  return ncclSuccess;
}

ncclResult_t pncclCommSplit(ncclComm_t handle, int color, int key, ncclComm_t* child,
                            ncclConfig_t* config) {
  const Visit visit(handle, "ncclCommSplit");
  if (visit.refusal() != ncclSuccess) return visit.refusal();
  if (const ncclResult_t wanted = wanted_failure("ncclCommSplit"); wanted != ncclSuccess) {
    return wanted;
  }
  *child = nullptr;
  const bool blocking = is_blocking(config, visit.comm().blocking);
  return run({visit.share()}, [parent = visit.share(), color, key, child, blocking] {
    return split(parent, color, key, child, blocking);
  });
}

ncclResult_t pncclCommFinalize(ncclComm_t handle) {
  const Visit visit(handle, "ncclCommFinalize");
  if (visit.refusal() != ncclSuccess) return visit.refusal();
  if (const ncclResult_t wanted = wanted_failure("ncclCommFinalize"); wanted != ncclSuccess) {
    return wanted;
  }
  visit.comm().finalized = true;
  return run({visit.share()}, [comm = visit.share()] {
    synchronize(*comm);
    return ncclSuccess;
  });
}

ncclResult_t pncclCommDestroy(ncclComm_t handle) {
  const Visit visit(handle, "ncclCommDestroy");
  if (visit.refusal() != ncclSuccess) return visit.refusal();
  if (!visit.comm().finalized) synchronize(visit.comm());
  release(handle, visit.comm());
  return ncclSuccess;
}

/// While another thread is inside of a call this is misuse, unless that one has been stuck there
/// for long: then there is nothing to lose.
ncclResult_t pncclCommAbort(ncclComm_t handle) {
  const std::shared_ptr<Comm> comm = fake_nccl::find(handle, "ncclCommAbort");
  if (comm == nullptr) return ncclInvalidArgument;
  bool heard = false;
  with_wishes([&](Wishes& wishes) {
    ++wishes.aborts;
    heard = wishes.aborts_are_heard;
  });
  {
    const std::lock_guard<std::mutex> lock(comm->mutex);
    if (comm->in_group) note_misuse("ncclCommAbort of a communicator in an open group");
    const Clock::time_point since = comm->stuck_since;
    const bool stuck =
        since != Clock::time_point() && Clock::now() - since > std::chrono::milliseconds(900);
    if (comm->inside != std::thread::id() && !stuck) {
      note_misuse("ncclCommAbort while another thread is in a call of the same communicator");
    }
    comm->aborted = true;
  }
  comm->world->abort(comm->rank);
  if (heard) {
    for_each([&](Comm& other) {
      if (other.world != comm->world || &other == comm.get()) return;
      const std::lock_guard<std::mutex> lock(other.mutex);
      if (other.error == ncclSuccess) other.error = ncclRemoteError;
    });
  }
  join(*comm);
  synchronize(*comm);
  release(handle, *comm);
  return ncclSuccess;
}

ncclResult_t pncclCommGetAsyncError(ncclComm_t handle, ncclResult_t* error) {
  const Visit visit(handle, "ncclCommGetAsyncError");
  if (visit.refusal() != ncclSuccess) return visit.refusal();
  const std::lock_guard<std::mutex> lock(visit.comm().mutex);
  *error = visit.comm().in_progress ? ncclInProgress : visit.comm().error;
  return ncclSuccess;
}

/// As NCCL does, it asks by the public name whether there was an error: whoever interposes is
/// asked.
ncclResult_t pncclCommCount(const ncclComm_t handle, int* count) {
  ncclResult_t state = ncclSuccess;
  const ncclResult_t asked = ncclCommGetAsyncError(handle, &state);
  if (asked != ncclSuccess) return asked;
  if (state != ncclSuccess && state != ncclInProgress) return state;
  const Visit visit(handle, "ncclCommCount");
  if (visit.refusal() == ncclSuccess) *count = visit.comm().world->size();
  return visit.refusal();
}

ncclResult_t pncclCommUserRank(const ncclComm_t handle, int* rank) {
  return tell(handle, "ncclCommUserRank", rank, &Comm::rank);
}

ncclResult_t pncclCommCuDevice(const ncclComm_t handle, int* device) {
  return tell(handle, "ncclCommCuDevice", device, &Comm::device);
}
}
