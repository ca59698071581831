// A communicator of the program's, from its first allreduce to its end.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <string>

#include "shim/call.hpp"
#include "shim/nccl/calls.hpp"
#include "shim/nccl/device.hpp"
#include "shim/nccl/greet.hpp"
#include "shim/session.hpp"

namespace sparccl::shim::nccl {

/// As NCCL's own, its calls are made by one thread at a time; abort() and async_error() by any.
class Comm {
 public:
  explicit Comm(const Member& member);
  Comm(const Comm&) = delete;
  Comm& operator=(const Comm&) = delete;

  /// ncclAllReduce: ours, or NCCL's where this is none of ours. The first that is made outside of
  /// groups and captures blocks until every rank has called, and so does the first that may be
  /// sparsified.
  [[nodiscard]] ncclResult_t all_reduce(const Arguments& arguments) noexcept;

  /// What went wrong with a call of ours, also after it has returned; it stays.
  [[nodiscard]] ncclResult_t async_error() const noexcept;

  /// Its calls fail, those under way as well.
  void abort() noexcept;

  /// Before the program's communicator is finalized or destroyed: saves, counts, and frees.
  /// Collective where NCCL's own is.
  void end() noexcept;

  // At exit, in this order. A communicator that a thread is still at is left alone.

  /// Waits for what is under way.
  void finish() noexcept;
  /// What end() does, but for freeing.
  void close() noexcept;

  [[nodiscard]] const Member& member() const noexcept { return member_; }

 private:
  struct Admission {
    std::optional<Reason> refused;
    bool captured = false;
    bool grouped = false;
    Request request;
  };
  [[nodiscard]] Admission admit(const Arguments& arguments);
  void require_sound();
  void greet_once(cudaStream_t stream);
  [[nodiscard]] Session& session(cudaStream_t stream);
  [[nodiscard]] std::optional<Reason> reduce(const Admission& admission);
  [[nodiscard]] ncclResult_t in_order(const Arguments& arguments);
  void trace(const Request& request, const char* reason) const noexcept;
  [[nodiscard]] ncclResult_t fail(Result code, const char* text) noexcept;
  [[nodiscard]] std::optional<Communicator> ours() const noexcept;

  const Member member_;
  std::mutex calls_;  // a call is under way
  std::uint64_t number_ = 0;
  bool greeted_ = false;
  std::string label_;
  std::unique_ptr<Session> session_;
  std::optional<StreamOrder> order_;

  mutable std::mutex mutex_;                  // of what follows
  std::optional<Communicator> communicator_;  // the session's
  std::optional<Error> failed_;
  std::atomic<bool> aborted_ = false;
};

}  // namespace sparccl::shim::nccl
