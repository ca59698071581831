#include "transport/nccl_comm.hpp"

#include <sched.h>

#include <algorithm>
#include <condition_variable>
#include <future>
#include <memory>
#include <system_error>
#include <thread>
#include <utility>
#include <vector>

#include "cuda/runtime.hpp"

namespace sparccl {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using Clock = NcclComm::Clock;

void require(const NcclApi& api, ncclResult_t code, const char* call) {
  if (code == ncclSuccess) return;
  throw Error(code_of(code), std::string(call) + " failed: " + api.words(code));
}

/// An ncclCommSplit on a thread of its own, because one of a blocking communicator cannot be given
/// up otherwise. If it is, the thread ends what it gets, should the other ranks come after all.
class Split {
 public:
  Split(const NcclApi& api, ncclComm_t original, int rank, int device)
      : api_(api), original_(original), rank_(rank), device_(device) {}

  void run() {
    attend_device(device_);
    ncclConfig_t config = NCCL_CONFIG_INITIALIZER;
    config.blocking = 0;
    // Written by NCCL until it is done: lives as long as this object.
    ncclResult_t result = api_.comm_split(original_, 0, rank_, &child_, &config);
    // Under a nonblocking original, the handle is there when the original's call is complete.
    if (result == ncclInProgress) result = wait(original_);
    if (result == ncclSuccess && child_ != nullptr) result = wait(child_);
    const std::lock_guard<std::mutex> lock(mutex_);
    result_ = result;
    done_ = true;
    if (abandoned_ && result != ncclInProgress && child_ != nullptr) api_.comm_abort(child_);
    changed_.notify_all();
  }

  /// Returns whether run() has ended; if not, it is on its own from now on.
  bool wait_for(milliseconds timeout) {
    std::unique_lock<std::mutex> lock(mutex_);
    const auto done = [&] { return done_; };
    if (timeout.count() == 0) {
      changed_.wait(lock, done);
    } else {
      changed_.wait_for(lock, timeout, done);
    }
    abandoned_ = !done_;
    return done_;
  }

  [[nodiscard]] ncclResult_t result() const noexcept { return result_; }
  [[nodiscard]] ncclComm_t child() const noexcept { return child_; }

 private:
  ncclResult_t wait(ncclComm_t comm) {
    const Clock::time_point start = Clock::now();
    ncclResult_t state = ncclInProgress;
    for (;;) {
      const ncclResult_t asked = api_.comm_get_async_error(comm, &state);
      if (asked != ncclSuccess) return asked;
      if (state != ncclInProgress) return state;
      if (abandoned()) return ncclInProgress;  // the user may destroy the original now
      pause_since(start);
    }
  }

  bool abandoned() {
    const std::lock_guard<std::mutex> lock(mutex_);
    return abandoned_;
  }

  const NcclApi& api_;
  const ncclComm_t original_;
  const int rank_;
  const int device_;
  ncclComm_t child_ = nullptr;
  std::mutex mutex_;
  std::condition_variable changed_;
  ncclResult_t result_ = ncclInProgress;
  bool done_ = false;
  bool abandoned_ = false;
};

/// A handle that NCCL may still write to.
void keep_for_ever(std::unique_ptr<ncclComm_t> handle) {
  static std::mutex mutex;
  static auto* const kept = new std::vector<std::unique_ptr<ncclComm_t>>;
  const std::lock_guard<std::mutex> lock(mutex);
  kept->push_back(std::move(handle));
}

}  // namespace

Result code_of(ncclResult_t code) noexcept {
  const bool failure = code > ncclSuccess && code < ncclInProgress;
  return failure ? static_cast<Result>(code) : Result::internal_error;
}

void attend_device(int device) noexcept {
  static_cast<void>(cudaSetDevice(device));
  cudaStreamCaptureMode mode = cudaStreamCaptureModeRelaxed;
  static_cast<void>(cudaThreadExchangeStreamCaptureMode(&mode));
}

void pause_since(Clock::time_point start) {
  if (Clock::now() - start < milliseconds(2)) {
    sched_yield();
  } else {
    std::this_thread::sleep_for(std::chrono::microseconds(50));
  }
}

NcclComm::NcclComm(ncclComm_t original, Milliseconds timeout)
    : api_(nccl_api()), timeout_(timeout) {
  if (original == nullptr) {
    throw Error(Result::invalid_argument, "communicator: expected one, found a null ncclComm_t");
  }
  require(api_, api_.comm_user_rank(original, &rank_), "ncclCommUserRank");
  require(api_, api_.comm_count(original, &size_), "ncclCommCount");
  require(api_, api_.comm_cu_device(original, &device_), "ncclCommCuDevice");
  const std::string own = "rank " + std::to_string(rank_);
  int present = 0;
  cuda::check(cudaGetDevice(&present));
  if (present != device_) {
    throw Error(Result::invalid_usage,
                own + ": expected CUDA device " + std::to_string(device_) +
                    ", that of its NCCL communicator, to be present, found " +
                    std::to_string(present));
  }
  const auto split = std::make_shared<Split>(api_, original, rank_, device_);
  std::thread thread([split] { split->run(); });
  if (!split->wait_for(timeout_)) {
    thread.detach();
    throw Error(Result::timeout, own + " waited " + std::to_string(timeout_.count()) +
                                     " ms for all " + std::to_string(size_) +
                                     " ranks to make their communicators");
  }
  thread.join();
  comm_ = split->child();
  if (split->result() != ncclSuccess || comm_ == nullptr) {
    const std::string words = api_.words(split->result());
    if (comm_ != nullptr) abort(comm_);
    throw Error(code_of(split->result()), own + ": ncclCommSplit failed: " + words);
  }
}

/// state(): of the communicator that is waited for, or nothing where it has been ended.
template <class State>
void NcclComm::wait_for_split(const char* what, const State& state,
                              const std::function<bool()>& gives_up) {
  const Clock::time_point start = Clock::now();
  for (;;) {
    const std::optional<ncclResult_t> now = state();
    if (now == ncclSuccess) return;
    if (!now || gives_up()) {
      throw Error(Result::invalid_usage, "the communicator was ended while a group was made");
    }
    if (now != ncclInProgress) {
      throw Error(code_of(*now), std::string(what) + " failed: " + api_.words(*now));
    }
    if (timeout_.count() != 0 && Clock::now() - start > timeout_) {
      throw Error(Result::timeout, "waited " + std::to_string(timeout_.count()) +
                                       " ms for all ranks to make their groups");
    }
    pause_since(start);
  }
}

/// On the thread of the calls: `whole` is nonblocking, and its watchdog looks at it in between.
NcclComm::NcclComm(NcclComm& whole, int color, const std::function<bool()>& gives_up)
    : api_(whole.api_), device_(whole.device_), timeout_(whole.timeout_) {
  auto child = std::make_unique<ncclComm_t>(nullptr);  // written by NCCL until the split is done
  ncclConfig_t config = NCCL_CONFIG_INITIALIZER;
  config.blocking = 0;
  std::optional<ncclResult_t> state = whole.use([&](ncclComm_t comm) {
    return api_.comm_split(comm, color, whole.rank_, child.get(), &config);
  });
  try {
    wait_for_split(
        "ncclCommSplit",
        [&] { return state == ncclSuccess || state == ncclInProgress ? whole.state() : state; },
        gives_up);
  } catch (...) {
    keep_for_ever(std::move(child));
    throw;
  }
  comm_ = *child;
  try {
    if (comm_ == nullptr) {
      throw Error(Result::internal_error, "ncclCommSplit: expected a communicator, found none");
    }
    wait_for_split(
        "ncclCommSplit", [&] { return this->state(); }, gives_up);
    require(api_, api_.comm_user_rank(comm_, &rank_), "ncclCommUserRank");
    require(api_, api_.comm_count(comm_, &size_), "ncclCommCount");
  } catch (...) {
    if (comm_ != nullptr) abort(comm_);
    throw;
  }
}

NcclComm::~NcclComm() {
  if (comm_ == nullptr) return;
  const Clock::time_point start = Clock::now();
  const Milliseconds limit = timeout_.count() == 0 ? Milliseconds(seconds(10))
                                                   : std::max(timeout_, Milliseconds(seconds(1)));
  ncclResult_t state = api_.comm_finalize(comm_);
  while (state == ncclInProgress && Clock::now() - start < limit) {
    pause_since(start);
    if (api_.comm_get_async_error(comm_, &state) != ncclSuccess) break;
  }
  if (state == ncclSuccess) {
    static_cast<void>(api_.comm_destroy(comm_));
  } else {
    abort(comm_);
  }
}

/// NCCL's own abort waits for the device and for graphs that hold calls of the communicator: it is
/// given ten seconds, and is left behind on its thread if it takes longer.
void NcclComm::abort(ncclComm_t comm) noexcept {
  const auto work = [&api = api_, device = device_, comm] {
    attend_device(device);
    static_cast<void>(api.comm_abort(comm));
  };
  try {
    std::packaged_task<void()> task(work);
    const std::future<void> done = task.get_future();
    std::thread thread(std::move(task));
    if (done.wait_for(seconds(10)) == std::future_status::ready) {
      thread.join();
    } else {
      thread.detach();
    }
  } catch (...) {  // no thread to be had
    work();
  }
}

ncclComm_t NcclComm::enter() noexcept {
  const std::lock_guard<std::mutex> lock(mutex_);
  inside_ = true;
  entered_ = Clock::now();
  return comm_;
}

void NcclComm::leave() noexcept {
  const std::lock_guard<std::mutex> lock(mutex_);
  inside_ = false;
}

std::optional<ncclResult_t> NcclComm::state() {
  return use([&](ncclComm_t comm) {
    ncclResult_t state = ncclSuccess;
    const ncclResult_t asked = api_.comm_get_async_error(comm, &state);
    return asked != ncclSuccess ? asked : state;
  });
}

ncclResult_t NcclComm::peek() {
  const std::lock_guard<std::mutex> lock(mutex_);
  if (comm_ == nullptr || inside_ || held_) return ncclSuccess;
  ncclResult_t state = ncclSuccess;
  const ncclResult_t asked = api_.comm_get_async_error(comm_, &state);
  return asked != ncclSuccess ? asked : state;
}

void NcclComm::hold(bool held) {
  const std::lock_guard<std::mutex> lock(mutex_);
  held_ = held;
}

bool NcclComm::end() {
  ncclComm_t comm = nullptr;
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    const bool stuck = inside_ && Clock::now() - entered_ > seconds(1);
    if ((inside_ || held_) && !stuck) return false;
    comm = std::exchange(comm_, nullptr);
  }
  if (comm != nullptr) abort(comm);
  return true;
}

bool NcclComm::ended() {
  const std::lock_guard<std::mutex> lock(mutex_);
  return comm_ == nullptr;
}

}  // namespace sparccl
