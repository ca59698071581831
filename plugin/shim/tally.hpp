// What became of the calls: the counts, and the table that is printed of them.
#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <mutex>
#include <string>
#include <string_view>
#include <utility>

#include <sparccl/sparccl.hpp>

#include "shim/call.hpp"

namespace sparccl::shim {

/// One tensor of one communicator, as it stands after its last call.
struct TensorTally {
  std::string name;
  Key key;
  std::uint64_t k = 0;
  Stats stats;
};

/// Thread-safe: calls of several communicators count here, and a signal may ask for the table.
class Tally {
 public:
  /// A communicator's number.
  [[nodiscard]] std::uint64_t add_communicator();

  /// dense_bytes: what a ring allreduce of the call sends from one rank.
  void passed(Reason reason, std::uint64_t dense_bytes) noexcept;
  void failed() noexcept;
  /// tensor: its number at its communicator. Replaces what an earlier call told.
  void sparsified(std::uint64_t communicator, std::uint64_t tensor, TensorTally tally);
  /// It is gone. Where there are many, what it came to counts without a line of its own.
  void ended(std::uint64_t communicator, std::uint64_t tensor) noexcept;

  [[nodiscard]] std::uint64_t calls() const noexcept;

  /// whose: "rank 0 of 4".
  [[nodiscard]] std::string table(std::string_view whose) const;

 private:
  struct Passed {
    std::uint64_t calls = 0;
    std::uint64_t bytes = 0;
  };
  [[nodiscard]] std::uint64_t counted() const noexcept;

  mutable std::mutex mutex_;
  std::uint64_t communicators_ = 0;
  std::array<Passed, reasons> passed_{};
  std::uint64_t failed_ = 0;
  std::map<std::pair<std::uint64_t, std::uint64_t>, TensorTally> tensors_;
  Stats gone_;  // the sum over tensors that have ended
};

/// 2 (P-1)/P x bytes.
[[nodiscard]] std::uint64_t ring_bytes(std::uint64_t tensor_bytes, int world_size) noexcept;

}  // namespace sparccl::shim
