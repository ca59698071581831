#include "shim/nccl/comm.hpp"

#include <utility>
#include <vector>

#include <sparccl/nccl.hpp>

#include "shim/nccl/group.hpp"
#include "shim/nccl/known.hpp"
#include "shim/nccl/life.hpp"
#include "shim/nccl/real.hpp"
#include "transport/nccl_api.hpp"

namespace sparccl::shim::nccl {
namespace {

/// A handle of one NCCL means nothing to another.
void require_one_nccl() {
  const auto program = reinterpret_cast<const void*>(real::all_reduce.get());
  const auto own = reinterpret_cast<const void*>(nccl_api().all_reduce);
  if (program == own) return;
  throw Error(Result::invalid_usage, "NCCL: expected that of the program (" + file_of(program) +
                                         "), found " + file_of(own) +
                                         "; is SPARCCL_NCCL_LIBRARY set?");
}

ncclResult_t dense(const Arguments& call) {
  return real::all_reduce(call.send, call.recv, call.count, call.type, call.op, call.comm,
                          call.stream);
}

}  // namespace

Comm::Comm(const Member& member)
    : member_(member),
      label_("an NCCL communicator of " + std::to_string(member.size) + " ranks") {}

ncclResult_t Comm::all_reduce(const Arguments& arguments) noexcept try {
  const std::lock_guard lock(calls_);
  require_sound();
  Admission call = admit(arguments);
  const bool apart = !call.grouped && !call.captured;
  if (apart) greet_once(arguments.stream);
  if (!call.refused) call.refused = reduce(call);
  if (!call.refused) {
    trace(call.request, nullptr);
    return ncclSuccess;
  }
  process().tally().passed(*call.refused, ring_bytes(bytes_of(arguments), member_.size));
  trace(call.request, text_of(*call.refused));
  if (order_ && apart) return in_order(arguments);
  return dense(arguments);
} catch (const Error& error) {
  return fail(error.code(), error.what());
} catch (const std::exception& error) {
  return fail(Result::internal_error, error.what());
}

ncclResult_t Comm::in_order(const Arguments& arguments) {
  const Present present(member_.device);
  order_->before(arguments.stream);
  const ncclResult_t code = dense(arguments);
  if (code == ncclSuccess) order_->after(arguments.stream);
  return code;
}

/// Counts the call, and says whether it is none of ours.
Comm::Admission Comm::admit(const Arguments& arguments) {
  Admission call;
  call.request = {arguments.send, arguments.recv, key_of(arguments), number_++, arguments.stream};
  call.grouped = in_group();
  const std::optional<Reason> reason = process().refuses(call.request.key, call.request.number);
  // Of a stream that is used for nothing of ours nobody needs to know.
  if (!call.grouped && (!greeted_ || !reason || order_)) {
    call.captured = is_capturing(arguments.stream);
  }
  if (reason == Reason::disabled) {
    call.refused = reason;
  } else if (member_.size < 2) {
    call.refused = Reason::one_rank;
  } else if (call.grouped) {
    call.refused = Reason::group;
  } else if (call.captured) {
    call.refused = Reason::capture;
  } else if (!reason && !on_device(arguments, member_.device)) {
    call.refused = Reason::host_memory;
  } else {
    call.refused = reason;
  }
  return call;
}

void Comm::require_sound() {
  const std::optional<Communicator> communicator = ours();
  const Result found = communicator ? communicator->async_error() : Result::success;
  const std::lock_guard lock(mutex_);
  if (failed_) throw *failed_;
  if (found != Result::success) {
    throw Error(found, label_ + ": " + communicator->async_error_text());
  }
}

void Comm::greet_once(cudaStream_t stream) {
  if (std::exchange(greeted_, true) || member_.size < 2) return;
  const Present present(member_.device);
  greet(member_, {process().shared(), ""}, stream, process().settings().timeout_ms, aborted_);
}

Session& Comm::session(cudaStream_t stream) {
  if (session_ != nullptr) return *session_;
  free_aborted();
  require_one_nccl();
  end_at_exit();
  const int ordinal = ordinal_at_rank(member_.rank);
  label_ = "NCCL communicator " + std::to_string(ordinal);
  Communicator communicator = nccl_communicator(member_.comm, process().settings().communicator());
  {
    const std::lock_guard lock(mutex_);
    communicator_ = communicator;
  }
  if (aborted_) communicator.abort();
  session_ = std::make_unique<Session>(process(), std::move(communicator), label_,
                                       process_stem() + "communicator" + std::to_string(ordinal) +
                                           ".rank" + std::to_string(member_.rank),
                                       stream);
  order_.emplace();
  return *session_;
}

std::optional<Reason> Comm::reduce(const Admission& call) {
  const auto stream = static_cast<cudaStream_t>(call.request.stream);
  const Present present(member_.device);
  Session& session = this->session(stream);
  order_->before(stream);
  const std::optional<Reason> reason = session.reduce(call.request);
  if (!reason) order_->after(stream);
  return reason;
}

void Comm::trace(const Request& request, const char* reason) const noexcept try {
  if (!process().log().traces()) return;
  process().log().trace("rank " + std::to_string(member_.rank) + ", " + label_ + ": call " +
                        std::to_string(request.number) + " of " +
                        std::to_string(request.key.count) + " entries " +
                        (reason != nullptr ? std::string("passes: ") + reason : "is sparsified"));
} catch (...) {
}

/// The first failure stays, and the other ranks are told as far as NCCL tells them: this one is not
/// at the same place any more.
ncclResult_t Comm::fail(Result code, const char* text) noexcept try {
  process().tally().failed();
  {
    const std::lock_guard lock(mutex_);
    if (failed_) return to_nccl(failed_->code());
    failed_.emplace(code, text);
  }
  process().log().warn("rank " + std::to_string(member_.rank) + " of " +
                       std::to_string(member_.size) + ": " + text);
  if (auto communicator = ours()) communicator->abort();
  return to_nccl(code);
} catch (...) {
  return to_nccl(code);
}

std::optional<Communicator> Comm::ours() const noexcept {
  const std::lock_guard lock(mutex_);
  return communicator_;
}

ncclResult_t Comm::async_error() const noexcept {
  {
    const std::lock_guard lock(mutex_);
    if (failed_) return to_nccl(failed_->code());
  }
  const std::optional<Communicator> communicator = ours();
  return communicator ? to_nccl(communicator->async_error()) : ncclSuccess;
}

void Comm::abort() noexcept {
  aborted_ = true;
  if (auto communicator = ours()) communicator->abort();
}

void Comm::end() noexcept {
  const std::lock_guard lock(calls_);
  session_.reset();
  order_.reset();
  const std::lock_guard members(mutex_);
  communicator_.reset();
}

void Comm::finish() noexcept try {
  const std::unique_lock lock(calls_, std::try_to_lock);
  if (lock.owns_lock() && session_ != nullptr) session_->count_finished();
} catch (...) {  // close() meets it again
}

void Comm::close() noexcept {
  const std::unique_lock lock(calls_, std::try_to_lock);
  if (lock.owns_lock() && session_ != nullptr) session_->close();
}

}  // namespace sparccl::shim::nccl
