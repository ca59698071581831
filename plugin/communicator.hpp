// The insides of a Communicator: the composition root that chooses a backend and a transport, and
// the agreement that precedes every exchange.
#pragma once

#include <atomic>
#include <cstdint>
#include <exception>
#include <map>
#include <memory>
#include <mutex>
#include <new>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <sparccl/sparccl.hpp>

#include "cost_model.hpp"
#include "hierarchy.hpp"
#include "plan.hpp"
#include "stages.hpp"
#include "transport/transport.hpp"

namespace sparccl {

/// Long names are compared by their hash, and shown cut. text: outlives it.
struct HashedName {
  explicit HashedName(std::string_view name) noexcept;
  std::string_view text;
  std::uint64_t hash;
};

/// What a rank is about to do. Compared field by field on every rank before anything is touched.
struct Call {
  enum class Kind : std::uint32_t { sparse_allreduce = 1, dense_allreduce, sparse_allgather };
  Kind kind = Kind::dense_allreduce;
  HashedName name;  // of the tensor
  std::uint64_t count = 0;
  std::uint64_t k = 0;  // 0 for dense calls
  DataType type = DataType::float32;
  DataType wire = DataType::float32;
  Reduction reduction = Reduction::sum;
  Distortion distortion = Distortion::previous;
  NonFinite non_finite = NonFinite::propagate;
  double mu = 0;
  Path path = Path::dense;
  /// What this call and the next depend on besides, alike on all ranks: which one of the trials of
  /// Path::automatic this is, from 1; or loaded_ranges and 31 bits of a hash of the ranges of
  /// Path::split that came with a state; or 0.
  std::uint32_t course = 0;
  static constexpr std::uint32_t loaded_ranges = 0x80000000u;
  /// 1 + the step at which the route began, where what it keeps from call to call must be alike on
  /// all ranks; else 0. No count of calls: of a captured graph, replays are none.
  std::uint32_t route_began = 0;
};

class Communicator::Impl {
 public:
  Impl(std::unique_ptr<Transport> transport, std::unique_ptr<Backend> backend,
       const CommunicatorOptions& options = {});

  [[nodiscard]] Transport& transport() noexcept { return *transport_; }
  [[nodiscard]] Backend& backend() noexcept { return *backend_; }
  [[nodiscard]] const CommunicatorOptions& options() const noexcept { return options_; }

  /// Whether calls return before they are done; see Transport::asynchronous().
  [[nodiscard]] bool asynchronous() const noexcept { return transport_->asynchronous(); }

  /// Room for a roll call, of which each call that may be under way needs one.
  class Roll {
   public:
    Roll() = default;
    Roll(Backend& backend, const Transport& transport);
    [[nodiscard]] const RollCall& get() const noexcept { return roll_; }

   private:
    Backend::Buffer slots_{nullptr, nullptr};
    Backend::Buffer refused_{nullptr, nullptr};
    RollCall roll_;
  };

  // Agreeing that every rank is about to do the same, in three parts. step: of the tensor, backend
  // memory, or null.

  void announce(const Call& call, Roll& roll, const std::uint64_t* step, Stream stream);
  /// Collective. Throws Error(aborted | timeout | ...) where a rank is missing.
  void meet(std::string_view tensor, Roll& roll, Stream stream);
  /// Throws Error(mismatch) on every rank, naming the first rank that differs from rank 0, what it
  /// called and what rank 0 called; an asynchronous communicator fails with that later on.
  void verify(std::string_view tensor, Roll& roll, Stream stream);

  /// The three in a row.
  void agree(const Call& call, Roll& roll, const std::uint64_t* step, Stream stream);

  /// A number for Step::tensor, by which a kernel's trouble is given the tensor's name again.
  [[nodiscard]] std::uint32_t add_tensor(std::string name);
  [[nodiscard]] Trouble* trouble() noexcept { return trouble_; }

  /// Made at the first call, which is collective. Throws where the ranks' nodes do not allow it.
  [[nodiscard]] Hierarchy& hierarchy(std::string_view tensor);

  /// For calls of the communicator itself: one that no other call uses until it is given back, and
  /// then only calls on the same stream. May allocate.
  [[nodiscard]] Roll& spare_roll(Stream stream);
  void give_back(Roll& roll, Stream stream) noexcept;

  /// What steps cost here (calibration.hpp), for Path::automatic; nothing where that is off. The
  /// first call is collective; it may probe, and throws what calibrate() throws.
  [[nodiscard]] const std::optional<Costs>& costs(Stream stream);

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

  /// What made it unusable, or success; its sentence. From any thread. Does not wait.
  [[nodiscard]] Result async_error() noexcept;
  [[nodiscard]] std::string async_error_text();

 private:
  [[nodiscard]] Error trouble_error();
  [[nodiscard]] Error cause_of(Result code, std::string_view tensor, const char* what);

  const CommunicatorOptions options_;
  bool calibrated_ = false;
  std::optional<Costs> costs_;
  std::unique_ptr<Backend> backend_;
  Backend::Buffer trouble_buffer_{nullptr, nullptr};
  Trouble* trouble_ = nullptr;
  std::unique_ptr<Transport> transport_;  // its threads may look at the trouble: it goes first
  std::optional<Hierarchy> hierarchy_;    // ends before the transport that it is made of
  struct Rolls {
    std::vector<std::unique_ptr<Roll>> all;
    std::vector<Roll*> spare;
  };
  std::map<Stream, Rolls> rolls_;
  std::mutex mutex_;  // of what follows
  std::vector<std::string> tensors_;
  std::string reason_;  // of async_error_, unless that is aborted
  std::atomic<Result> async_error_ = Result::success;
};

/// Whether a kernel has found trouble. It writes while the host reads.
[[nodiscard]] inline bool is_set(const Trouble& trouble) noexcept {
  using Number = std::underlying_type_t<Verdict::Kind>;
  const auto* kind = reinterpret_cast<const Number*>(&trouble.kind);
  const Number found = __atomic_load_n(kind, __ATOMIC_ACQUIRE);
  return found != 0 && found != Trouble::being_written;
}

template <class F>
void Communicator::Impl::carry_out(std::string_view tensor, F&& part) {
  const auto rethrow = [&](Result code, const char* what) {
    const Error error = cause_of(code, tensor, what);
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

/// Not a multiple of `width`: throws Error(invalid_argument). Null passes.
void require_aligned(const void* pointer, std::size_t width, const char* what,
                     std::string_view tensor);

/// part(); what it throws begins with the tensor's name.
template <class F>
void naming(std::string_view tensor, F&& part) {
  try {
    part();
  } catch (const Error& error) {
    throw Error(error.code(), about(tensor) + error.what());
  }
}

/// Not memory of the backend, or overlapping but unequal: throws Error(invalid_argument) that says
/// which.
void require_buffers(const Backend& backend, const void* send, const void* recv,
                     std::size_t send_bytes, std::size_t recv_bytes, std::string_view tensor);

}  // namespace sparccl
