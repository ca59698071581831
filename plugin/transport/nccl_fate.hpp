// How a transport over NCCL and its groups end together.
#pragma once

#include <atomic>
#include <mutex>
#include <string>

#include <sparccl/types.hpp>

namespace sparccl {

/// One of all ranks and of every group of it: each one's watchdog sees within ten milliseconds that
/// another one has ended it. From any thread.
class NcclFate {
 public:
  /// rank: in the communicator of all, by which messages name this rank.
  explicit NcclFate(int rank) : rank_(rank) {}

  [[nodiscard]] std::string own() const { return "rank " + std::to_string(rank_); }
  [[nodiscard]] int rank() const noexcept { return rank_; }

  /// The communicators are to be aborted, or have been.
  [[nodiscard]] bool ending() const noexcept { return ending_; }
  void end() noexcept { ending_ = true; }

  /// Ends them for that reason. The first one stays.
  void fail(Result code, const std::string& text) noexcept {
    const std::lock_guard<std::mutex> lock(mutex_);
    if (!ending_ && failure_ == Result::success) {
      try {
        text_ = text;
      } catch (...) {  // out of memory: the code alone has to do
      }
      failure_ = code;
    }
    ending_ = true;
  }
  [[nodiscard]] Result failure() const noexcept { return failure_; }
  [[nodiscard]] std::string text() {
    const std::lock_guard<std::mutex> lock(mutex_);
    return text_;
  }

 private:
  const int rank_;
  std::atomic<bool> ending_ = false;
  std::atomic<Result> failure_ = Result::success;
  std::mutex mutex_;
  std::string text_;
};

}  // namespace sparccl
