// The insides of a Communicator: the composition root that chooses a backend and a transport, and
// the agreement that precedes every exchange.
#pragma once

#include <atomic>
#include <cstdint>
#include <exception>
#include <memory>
#include <new>
#include <string>
#include <string_view>
#include <vector>

#include <sparccl/sparccl.hpp>

#include "plan.hpp"
#include "stages.hpp"
#include "transport/transport.hpp"

namespace sparccl {

/// What a rank is about to do. Compared field by field on every rank before anything is touched.
struct Call {
  enum class Kind : std::uint32_t { sparse_allreduce = 1, dense_allreduce, sparse_allgather };
  Kind kind = Kind::dense_allreduce;
  std::string_view name;  // of the tensor; long names are compared by hash and shown cut
  std::uint64_t count = 0;
  std::uint64_t k = 0;     // 0 for dense calls
  std::uint64_t step = 0;  // of the tensor
  DataType type = DataType::float32;
  DataType wire = DataType::float32;
  Reduction reduction = Reduction::sum;
  Distortion distortion = Distortion::previous;
  NonFinite non_finite = NonFinite::propagate;
  double mu = 0;
};

class Communicator::Impl {
 public:
  Impl(std::unique_ptr<Transport> transport, std::unique_ptr<Backend> backend);

  [[nodiscard]] Transport& transport() noexcept { return *transport_; }
  [[nodiscard]] Backend& backend() noexcept { return *backend_; }

  /// Collective. Throws Error(mismatch) on every rank, naming the first rank that differs from rank
  /// 0, what it called and what rank 0 called; Error(aborted | timeout | ...) where a rank is
  /// missing.
  void agree(const Call& call);

  /// Throws what made this communicator unusable, if anything did. After an abort() from another
  /// thread, this is where the other ranks are told.
  void require_usable();

  /// Makes this communicator unusable, for good, and tells the other ranks: a transfer failed
  /// half-way, or a peer sent garbage.
  void fail(const Error& error) noexcept;

  /// Runs a part of a collective. A failure of it is fail()ed and thrown on, naming the tensor.
  template <class F>
  void carry_out(std::string_view tensor, F&& part);

  void abort() noexcept;
  [[nodiscard]] Result async_error() const noexcept { return async_error_; }

 private:
  std::unique_ptr<Transport> transport_;
  std::unique_ptr<Backend> backend_;
  std::vector<std::byte> descriptors_;  // [size] of what agree() exchanges
  std::string reason_;                  // of async_error_, unless that is aborted
  std::atomic<Result> async_error_ = Result::success;
};

template <class F>
void Communicator::Impl::carry_out(std::string_view tensor, F&& part) {
  const auto rethrow = [&](Result code, const char* what) {
    const Error error(code, about(tensor) + what);
    fail(error);
    throw error;
  };
  try {
    part();
  } catch (const Error& error) {
    rethrow(error.code(), error.what());
  } catch (const std::bad_alloc&) {
    rethrow(Result::system_error, "out of memory");
  } catch (const std::exception& error) {
    rethrow(Result::internal_error, error.what());
  }
}

/// Null, or overlapping but unequal: throws Error(invalid_argument) that says which.
void require_buffers(const void* send, const void* recv, std::size_t send_bytes,
                     std::size_t recv_bytes, std::string_view tensor);

}  // namespace sparccl
