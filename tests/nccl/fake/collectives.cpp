#include "collectives.hpp"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <deque>
#include <iterator>
#include <utility>

namespace fake_nccl {
namespace {

struct Queued {
  std::shared_ptr<Comm> comm;
  Collective own;
  cudaStream_t stream = nullptr;
};

/// NCCL's state of a thread.
struct Group {
  int depth = 0;
  ncclResult_t error = ncclSuccess;
  std::vector<Queued> queue;
};
thread_local Group group;

/// Never freed: a graph may run it again at any time.
struct Enqueued {
  std::shared_ptr<Comm> comm;
  Collective own;
};
Enqueued* keep(Enqueued enqueued) {
  static std::mutex mutex;
  static auto* const all = new std::deque<Enqueued>;
  const std::lock_guard<std::mutex> lock(mutex);
  return &all->emplace_back(std::move(enqueued));
}

void run_on_stream(void* user) {
  const auto& enqueued = *static_cast<Enqueued*>(user);
  enqueued.comm->world->carry_out(enqueued.comm->rank, enqueued.own);
}

ncclResult_t to_nccl(cudaError_t code) {
  return code == cudaSuccess ? ncclSuccess : ncclUnhandledCudaError;
}

/// Collectives of a communicator run in the order of their calls, whatever their streams.
ncclResult_t launch(const Queued& queued) {
  Comm& comm = *queued.comm;
  cudaStreamCaptureStatus status = cudaStreamCaptureStatusNone;
  static_cast<void>(cudaSetDevice(comm.device));
  cudaError_t code = cudaStreamIsCapturing(queued.stream, &status);
  const bool eager = status == cudaStreamCaptureStatusNone;
  if (code == cudaSuccess && eager && comm.launched == nullptr) {
    code = cudaEventCreateWithFlags(&comm.launched, cudaEventDisableTiming);
  } else if (code == cudaSuccess && eager) {
    code = cudaStreamWaitEvent(queued.stream, comm.launched, 0);
  }
  if (code == cudaSuccess) {
    code = cudaLaunchHostFunc(queued.stream, run_on_stream, keep({queued.comm, queued.own}));
  }
  if (code == cudaSuccess && eager) code = cudaEventRecord(comm.launched, queued.stream);
  return to_nccl(code);
}

/// The first call of a communicator waits for all of its ranks. If one communicator of a group is
/// aborted, the group is.
ncclResult_t launch_all(const std::vector<Queued>& queue) {
  int before = 0;
  static_cast<void>(cudaGetDevice(&before));
  std::atomic<bool> over = false;
  std::vector<std::thread> connections;
  for (const Queued& queued : queue) {
    connections.emplace_back([&over, &comm = *queued.comm] {
      if (!comm.world->connect(comm.rank, [&] { return over.load(); })) over = true;
    });
  }
  for (std::thread& connection : connections) connection.join();
  ncclResult_t result = over ? ncclInternalError : ncclSuccess;
  for (const Queued& queued : queue) {
    if (result == ncclSuccess) result = launch(queued);
  }
  static_cast<void>(cudaSetDevice(before));
  return result;
}

void fail(const std::vector<Queued>& queue, ncclResult_t error) {
  for (const Queued& queued : queue) {
    const std::lock_guard<std::mutex> lock(queued.comm->mutex);
    if (!queued.comm->blocking && queued.comm->error == ncclSuccess) queued.comm->error = error;
  }
}

/// As if the queue of the device were full of work that waits for this communicator.
void stick(Comm& comm) {
  bool wanted = false;
  with_wishes([&](Wishes& wishes) {
    wanted = wishes.stick_rank == comm.rank;
    if (wanted) wishes.stick_rank = -1;
  });
  if (wanted) {
    const std::lock_guard<std::mutex> lock(comm.mutex);
    comm.stuck_since = std::chrono::steady_clock::now();
  }
  while (wanted && !comm.world->aborted(comm.rank)) {
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
}

/// Sends and receives of a group are one to NCCL: none of them waits for another.
void queue(Queued queued) {
  constexpr auto messages = Collective::Kind::point_to_point;
  for (Queued& other : group.queue) {
    if (queued.own.kind != messages || other.own.kind != messages) continue;
    if (other.comm != queued.comm || other.stream != queued.stream) continue;
    std::ranges::copy(queued.own.sends, std::back_inserter(other.own.sends));
    std::ranges::copy(queued.own.receives, std::back_inserter(other.own.receives));
    return;
  }
  group.queue.push_back(std::move(queued));
}

/// Whether the ranks that a call names are the communicator's.
bool names_its_ranks(const Collective& own, const Comm& comm) {
  const auto is_rank = [&](int rank) { return rank >= 0 && rank < comm.world->size(); };
  bool all = is_rank(own.root);
  for (const Collective::Message& each : own.sends) all = all && is_rank(each.peer);
  for (const Collective::Message& each : own.receives) all = all && is_rank(each.peer);
  return all;
}

}  // namespace

ncclResult_t start_group() {
  const ncclResult_t wanted = wanted_failure("ncclGroupStart");
  if (wanted == ncclSuccess) ++group.depth;
  return wanted;
}

ncclResult_t end_group() {
  if (group.depth == 0) return ncclInvalidUsage;
  if (--group.depth > 0) return ncclSuccess;
  const std::vector<Queued> queue = std::exchange(group.queue, {});
  ncclResult_t error = std::exchange(group.error, ncclSuccess);
  std::vector<std::shared_ptr<Comm>> comms;
  for (const Queued& queued : queue) {
    if (std::ranges::find(comms, queued.comm) != comms.end()) continue;
    comms.push_back(queued.comm);
    if (queued.comm->blocking != comms.front()->blocking) error = ncclInvalidArgument;
  }
  if (const ncclResult_t wanted = wanted_failure("ncclGroupEnd"); wanted != ncclSuccess) {
    error = wanted;
  }
  if (error != ncclSuccess) {
    fail(queue, error);
  } else {
    error = run(comms, [queue] { return launch_all(queue); });
  }
  for (const auto& comm : comms) {
    const std::lock_guard<std::mutex> lock(comm->mutex);
    comm->in_group = false;
  }
  return error;
}

int drop_group() {
  if (group.depth == 0) return ncclInvalidUsage;
  if (--group.depth > 0) return ncclSuccess;
  group.error = ncclSuccess;
  for (const Queued& queued : std::exchange(group.queue, {})) {
    const std::lock_guard<std::mutex> lock(queued.comm->mutex);
    queued.comm->in_group = false;
  }
  return ncclSuccess;
}

ncclResult_t collect(ncclComm_t handle, const char* call, const Collective& own,
                     cudaStream_t stream) {
  const Visit visit(handle, call);
  if (visit.refusal() != ncclSuccess) return visit.refusal();
  Comm& comm = visit.comm();
  ncclResult_t error = wanted_failure(call);
  if (!names_its_ranks(own, comm)) error = ncclInvalidArgument;
  {
    const std::lock_guard<std::mutex> lock(comm.mutex);
    if (comm.in_progress) {
      note_misuse(std::string(call) + " before the previous one was complete");
      error = ncclInvalidArgument;
    }
    if (error != ncclSuccess && !comm.blocking && comm.error == ncclSuccess) comm.error = error;
    if (comm.error != ncclSuccess) error = comm.error;
  }
  stick(comm);
  if (comm.world->aborted(comm.rank)) error = ncclInternalError;  // meanwhile
  if (error != ncclSuccess) {
    if (group.depth > 0) group.error = error;
    return error;
  }
  queue({visit.share(), own, stream});
  if (group.depth > 0) {
    const std::lock_guard<std::mutex> lock(comm.mutex);
    comm.in_group = true;
    return ncclSuccess;
  }
  ++group.depth;
  return end_group();
}

}  // namespace fake_nccl
