#include "transport/nccl.hpp"

#include <algorithm>
#include <utility>
#include <vector>

#include "cuda/runtime.hpp"

namespace sparccl {
namespace {

using std::chrono::milliseconds;

static_assert(static_cast<int>(DataType::uint8) == ncclUint8 &&
              static_cast<int>(DataType::float16) == ncclFloat16 &&
              static_cast<int>(DataType::float64) == ncclFloat64 &&
              static_cast<int>(DataType::bfloat16) == ncclBfloat16 &&
              static_cast<int>(Reduction::sum) == ncclSum &&
              static_cast<int>(Reduction::avg) == ncclAvg);

/// NCCL counts nested groups by thread, and enqueues what is in them when the last one ends.
thread_local std::vector<NcclTransport*> open_groups;
thread_local std::vector<NcclTransport*> closed_groups;  // whose calls wait for the last one

bool capturing(cudaStream_t stream) {
  cudaStreamCaptureStatus status = cudaStreamCaptureStatusNone;
  cuda::check(cudaStreamIsCapturing(stream, &status));
  return status != cudaStreamCaptureStatusNone;
}

}  // namespace

NcclTransport::NcclTransport(ncclComm_t original, const CommunicatorOptions& options)
    : comm_(original, milliseconds(std::min<std::uint64_t>(options.timeout_ms,
                                                           1'000'000'000'000))),  // 31 years
      timeout_(std::min<std::uint64_t>(options.timeout_ms, 1'000'000'000'000)),
      watchdog_([this] { watch(); }) {}

NcclTransport::~NcclTransport() {
  {
    const std::lock_guard<std::mutex> lock(watch_mutex_);
    stop_ = true;
  }
  woken_.notify_all();
  watchdog_.join();
  std::erase(open_groups, this);
  std::erase(closed_groups, this);
  if (ending_) static_cast<void>(comm_.end());
}

void NcclTransport::all_gather(void* slots, std::size_t bytes, Stream stream) {
  require_open();
  if (size() == 1 || bytes == 0) return;
  const void* const own_slot =
      static_cast<const std::byte*>(slots) + bytes * static_cast<std::size_t>(rank());
  exchange({"ncclAllGather", bytes}, stream, [&](ncclComm_t comm, cudaStream_t on) {
    return comm_.api().all_gather(own_slot, slots, bytes, ncclUint8, comm, on);
  });
}

void NcclTransport::meet(void* slots, std::size_t bytes, Stream stream) {
  all_gather(slots, bytes, stream);
}

void NcclTransport::all_reduce(const void* send, void* recv, std::size_t count, DataType type,
                               Reduction reduction, Stream stream) {
  require_open();
  if (count == 0) return;
  if (size() == 1) {
    if (send == recv) return;
    const cuda::DeviceGuard present(comm_.device());
    cuda::check(cudaMemcpyAsync(recv, send, count * size_of(type), cudaMemcpyDeviceToDevice,
                                static_cast<cudaStream_t>(stream)));
    return;
  }
  exchange({"ncclAllReduce", count, "entries"}, stream, [&](ncclComm_t comm, cudaStream_t on) {
    return comm_.api().all_reduce(send, recv, count, static_cast<ncclDataType_t>(type),
                                  static_cast<ncclRedOp_t>(reduction), comm, on);
  });
}

template <class Call>
void NcclTransport::exchange(const Exchange& what, Stream stream, const Call& call) {
  const auto on = static_cast<cudaStream_t>(stream);
  const cuda::DeviceGuard present(comm_.device());
  // An event inside a graph says nothing of the time: replays are not timed.
  if (timeout_.count() != 0 && !capturing(on)) waits_.begin(what, on);
  const auto result = comm_.use([&](ncclComm_t comm) { return call(comm, on); });
  if (!result) throw_failure();
  // In a group, nothing is on the stream before the group ends.
  if (in_group_ && (*result == ncclSuccess || *result == ncclInProgress)) return;
  settle(*result, what.call);
}

/// Waits until NCCL has enqueued what was called; that may take until other ranks have called, too.
void NcclTransport::settle(ncclResult_t state, const char* call) {
  const NcclComm::Clock::time_point start = NcclComm::Clock::now();
  while (state == ncclSuccess || state == ncclInProgress) {
    const auto next = comm_.state();
    if (!next) throw_failure();
    state = *next;
    if (state == ncclSuccess) return waits_.enqueued();
    if (state != ncclInProgress) break;
    if (ending_) throw_failure();
    if (timeout_.count() != 0 && NcclComm::Clock::now() - start > timeout_) {
      fail(Result::timeout, own() + " waited " + std::to_string(timeout_.count()) +
                                " ms to enqueue " + call + "; a rank did not arrive");
      throw_failure();
    }
    pause_since(start);
  }
  fail(code_of(state), own() + ": " + call + " failed: " + comm_.api().words(state));
  throw_failure();
}

void NcclTransport::begin_group() {
  require_open();
  if (in_group_) throw Error(Result::invalid_usage, own() + ": begin_group() twice");
  open_groups.push_back(this);
  closed_groups.reserve(open_groups.size() + closed_groups.size());  // end_group() cannot fail then
  const ncclResult_t result = comm_.api().group_start();
  if (result != ncclSuccess) {
    open_groups.pop_back();
    fail(code_of(result), own() + ": ncclGroupStart failed: " + comm_.api().words(result));
    throw_failure();
  }
  comm_.hold(true);
  in_group_ = true;
}

void NcclTransport::end_group() {
  if (!in_group_) return;
  in_group_ = false;
  std::erase(open_groups, this);
  closed_groups.push_back(this);
  if (!open_groups.empty()) {
    static_cast<void>(comm_.api().group_end());  // counts down, no more
    return;
  }
  const std::vector<NcclTransport*> all = std::exchange(closed_groups, {});
  for (NcclTransport* each : all) static_cast<void>(each->comm_.enter());
  const ncclResult_t result = comm_.api().group_end();
  for (NcclTransport* each : all) each->comm_.leave();
  for (NcclTransport* each : all) each->settle_group(result);
  if (ending_) throw_failure();
}

/// The failure of one transport is not the others': each keeps its own.
void NcclTransport::settle_group(ncclResult_t state) noexcept {
  try {
    comm_.hold(false);
    const cuda::DeviceGuard present(comm_.device());
    settle(state, "ncclGroupEnd");
  } catch (const Error& error) {
    fail(error.code(), error.what());  // unless it is the one that was kept
  } catch (...) {
    fail(Result::internal_error, "out of memory");
  }
}

void NcclTransport::require_open() {
  if (ending_) throw_failure();
}

/// The first failure stays.
void NcclTransport::fail(Result code, const std::string& text) noexcept {
  {
    const std::lock_guard<std::mutex> lock(failure_mutex_);
    if (!ending_ && failure_ == Result::success) {
      try {
        failure_text_ = text;
      } catch (...) {  // out of memory: the code alone has to do
      }
      failure_ = code;
    }
  }
  end_soon();
}

void NcclTransport::end_soon() noexcept {
  ending_ = true;
  {
    const std::lock_guard<std::mutex> lock(watch_mutex_);
    look_now_ = true;
  }
  woken_.notify_all();
}

void NcclTransport::throw_failure() {
  if (failure_ == Result::success) {
    throw Error(Result::invalid_usage, own() + " has given up its NCCL communicator");
  }
  throw Error(failure_, async_error_text());
}

std::string NcclTransport::async_error_text() {
  const std::lock_guard<std::mutex> lock(failure_mutex_);
  return failure_text_;
}

void NcclTransport::abort_when(std::function<bool()> failed) {
  const std::lock_guard<std::mutex> lock(caller_mutex_);
  caller_failed_ = std::move(failed);
}

/// Other ranks see an error of NCCL where it reaches them over a network, and their own timeouts.
void NcclTransport::give_up(Result) noexcept { end_soon(); }

void NcclTransport::abort() noexcept {
  try {
    fail(Result::aborted, "the communicator was aborted by " + own());
  } catch (...) {
    fail(Result::aborted, {});
  }
}

void NcclTransport::watch() noexcept {
  attend_device(comm_.device());
  std::unique_lock<std::mutex> lock(watch_mutex_);
  while (!stop_) {
    woken_.wait_for(lock, milliseconds(10), [&] { return stop_ || look_now_; });
    if (stop_) return;
    look_now_ = false;
    lock.unlock();
    try {
      look();
    } catch (const Error& error) {
      fail(error.code(), own() + ": " + error.what());
    } catch (...) {
      fail(Result::internal_error, "out of memory");
    }
    lock.lock();
  }
}

void NcclTransport::look() {
  if (comm_.ended()) return;
  if (!ending_ && caller_failed()) ending_ = true;
  if (!ending_) {
    const ncclResult_t state = comm_.peek();
    if (state != ncclSuccess && state != ncclInProgress) {
      fail(code_of(state), own() + ": NCCL reports: " + comm_.api().words(state));
    }
  }
  if (!ending_ && timeout_.count() != 0) {
    if (const auto late = waits_.overdue(timeout_)) {
      fail(Result::timeout, own() + " waited " + std::to_string(timeout_.count()) + " ms for " +
                                late->call + " of " + std::to_string(late->amount) + " " +
                                late->unit + "; a rank did not arrive");
    }
  }
  if (ending_ && comm_.end()) waits_.clear();
}

bool NcclTransport::caller_failed() {
  const std::lock_guard<std::mutex> lock(caller_mutex_);
  return caller_failed_ && caller_failed_();
}

}  // namespace sparccl
