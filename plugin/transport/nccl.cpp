#include "transport/nccl.hpp"

#include <algorithm>
#include <utility>
#include <vector>

#include "cuda/runtime.hpp"
#include "transport/placement.hpp"

namespace sparccl {
namespace {

using std::chrono::milliseconds;

/// NCCL counts nested groups by thread, and enqueues what is in them when the last one ends.
thread_local std::vector<NcclTransport*> open_groups;
thread_local std::vector<NcclTransport*> closed_groups;  // whose calls wait for the last one

bool contains(const std::vector<NcclTransport*>& transports, const NcclTransport* transport) {
  return std::find(transports.begin(), transports.end(), transport) != transports.end();
}

milliseconds timeout_of(const CommunicatorOptions& options) {
  return milliseconds(std::min<std::uint64_t>(options.timeout_ms, 1'000'000'000'000));  // 31 years
}

}  // namespace

NcclTransport::NcclTransport(ncclComm_t original, const CommunicatorOptions& options)
    : ranks_per_node_(checked_ranks_per_node(options)),
      comm_(original, timeout_of(options)),
      fate_(std::make_shared<NcclFate>(comm_.rank())),
      timeout_(timeout_of(options)),
      watchdog_([this] { watch(); }) {}

NcclTransport::NcclTransport(NcclTransport& whole, int color)
    : ranks_per_node_(whole.ranks_per_node_),
      comm_(whole.comm_, color, [&whole] { return whole.fate_->ending(); }),
      fate_(whole.fate_),
      timeout_(whole.timeout_),
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
  if (fate_->ending()) static_cast<void>(comm_.end());
}

/// Whether what is called now is enqueued at the end of a group of this thread: of this transport,
/// or of another one's, which this one joins.
bool NcclTransport::joins_group() {
  if (in_group_) return true;
  if (open_groups.empty()) return false;
  if (contains(closed_groups, this)) return true;
  closed_groups.reserve(open_groups.size() + closed_groups.size() + 1);  // see begin_group()
  closed_groups.push_back(this);
  comm_.hold(true);
  return true;
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
    if (fate_->ending()) throw_failure();
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
  if (!contains(closed_groups, this)) closed_groups.push_back(this);
  if (!open_groups.empty()) {
    static_cast<void>(comm_.api().group_end());  // counts down, no more
    return;
  }
  const std::vector<NcclTransport*> all = std::exchange(closed_groups, {});
  for (NcclTransport* each : all) static_cast<void>(each->comm_.enter());
  const ncclResult_t result = comm_.api().group_end();
  for (NcclTransport* each : all) each->comm_.leave();
  for (NcclTransport* each : all) each->settle_group(result);
  if (fate_->ending()) throw_failure();
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
  if (fate_->ending()) throw_failure();
}

void NcclTransport::fail(Result code, const std::string& text) noexcept {
  fate_->fail(code, text);
  end_soon();
}

void NcclTransport::end_soon() noexcept {
  fate_->end();
  {
    const std::lock_guard<std::mutex> lock(watch_mutex_);
    look_now_ = true;
  }
  woken_.notify_all();
}

void NcclTransport::throw_failure() {
  if (fate_->failure() == Result::success) {
    throw Error(Result::invalid_usage, own() + " has given up its NCCL communicator");
  }
  throw Error(fate_->failure(), fate_->text());
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
  if (!fate_->ending() && caller_failed()) fate_->end();
  if (!fate_->ending()) {
    const ncclResult_t state = comm_.peek();
    if (state != ncclSuccess && state != ncclInProgress) {
      fail(code_of(state), own() + ": NCCL reports: " + comm_.api().words(state));
    }
  }
  if (!fate_->ending() && timeout_.count() != 0) {
    if (const auto late = waits_.overdue(timeout_)) {
      fail(Result::timeout, own() + " waited " + std::to_string(timeout_.count()) + " ms for " +
                                late->call + " of " + std::to_string(late->amount) + " " +
                                late->unit + "; a rank did not arrive");
    }
  }
  if (fate_->ending() && comm_.end()) waits_.clear();
}

bool NcclTransport::caller_failed() {
  const std::lock_guard<std::mutex> lock(caller_mutex_);
  return caller_failed_ && caller_failed_();
}

}  // namespace sparccl
