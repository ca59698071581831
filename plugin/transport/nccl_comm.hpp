// An NCCL communicator of our own, and the rule by which two threads share it.
#pragma once

#include <chrono>
#include <functional>
#include <mutex>
#include <optional>
#include <string>

#include <sparccl/types.hpp>

#include "transport/nccl_api.hpp"

namespace sparccl {

/// Split off a communicator of the user's, nonblocking. NCCL allows one thread at a time in it, and
/// aborting frees it. So the thread of the calls goes in and out, for as short as it can; another
/// thread, the watchdog, looks at it and ends it while that one is out.
class NcclComm {
 public:
  using Clock = std::chrono::steady_clock;
  using Milliseconds = std::chrono::milliseconds;

  /// Collective; the CUDA device of `original` must be present. Throws Error(invalid_argument |
  /// invalid_usage | timeout | what NCCL reports). timeout 0: waits for ever.
  NcclComm(ncclComm_t original, Milliseconds timeout);

  /// A part of another one: the ranks that pass the same color, in their order. Collective over
  /// `whole`, whose device must be present. Waits until it is made, `whole` has been ended,
  /// gives_up() returns true (which throws Error(invalid_usage)), or for the timeout of `whole`.
  NcclComm(NcclComm& whole, int color, const std::function<bool()>& gives_up);

  /// Finalises it if that takes no longer than 10 seconds or the timeout, else aborts it.
  ~NcclComm();
  NcclComm(const NcclComm&) = delete;
  NcclComm& operator=(const NcclComm&) = delete;

  [[nodiscard]] const NcclApi& api() const noexcept { return api_; }
  [[nodiscard]] int rank() const noexcept { return rank_; }
  [[nodiscard]] int size() const noexcept { return size_; }
  [[nodiscard]] int device() const noexcept { return device_; }

  /// Of the thread of the calls: call(handle), which does not throw, or nothing where the
  /// communicator has been ended.
  template <class Call>
  std::optional<ncclResult_t> use(const Call& call) {
    const ncclComm_t comm = enter();
    std::optional<ncclResult_t> result;
    if (comm != nullptr) result = call(comm);
    leave();
    return result;
  }

  /// Of the thread of the calls: whether what it enqueued is still being enqueued, or failed.
  std::optional<ncclResult_t> state();

  /// Of the watchdog: the same; success while the thread of the calls is inside.
  ncclResult_t peek();

  /// Between these two NCCL keeps the handle in lists of the thread of the calls: it is not ended.
  void hold(bool held);

  /// Of the watchdog: aborts it, so that what is on the device ends, unless the thread of the calls
  /// is inside: that one will be out soon, or is stuck and has had its second. Whether it is gone.
  bool end();

  [[nodiscard]] bool ended();

  /// Of the thread of the calls, for what takes no handle (ncclGroupEnd): it is inside. Null where
  /// the communicator has been ended.
  ncclComm_t enter() noexcept;
  void leave() noexcept;

 private:
  template <class State>
  void wait_for_split(const char* what, const State& state, const std::function<bool()>& gives_up);
  void abort(ncclComm_t comm) noexcept;

  const NcclApi& api_;
  int rank_ = 0;
  int size_ = 1;
  int device_ = 0;
  Milliseconds timeout_;
  std::mutex mutex_;
  ncclComm_t comm_ = nullptr;  // null: ended
  bool inside_ = false;
  bool held_ = false;
  Clock::time_point entered_;
};

/// NCCL's codes are the library's own, but for those that are no failures.
[[nodiscard]] Result code_of(ncclResult_t code) noexcept;

/// Prepares a thread of ours: its calls are about this device, and none of them spoils a capture
/// that another thread has under way.
void attend_device(int device) noexcept;

/// Waits a moment in a loop that began at `start`: yields its core at first, then sleeps.
void pause_since(NcclComm::Clock::time_point start);

}  // namespace sparccl
