// The place where threads that are ranks wait for each other.
#pragma once

#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <mutex>
#include <string>
#include <vector>

namespace sparccl {

/// What the ranks share.
///
/// A transfer has one abortable wait, in which every rank shows its buffer, and then only certain
/// ones: every rank is in the transfer by then and copies without waiting for anything else. So an
/// abort never frees a buffer that another rank still reads.
class Hub {
 public:
  /// timeout_ms: of an arrive(); 0 waits for ever.
  Hub(int world_size, std::uint64_t timeout_ms);

  [[nodiscard]] int size() const noexcept { return size_; }

  /// Shows what this rank sends and waits until every rank has shown its own. Throws when that will
  /// not happen.
  void arrive(int rank, const void* sent);

  /// Shows what this rank has reduced and waits for the others, which are certain to come.
  void exchange(int rank, const void* reduced) noexcept;

  /// Waits for the others, which are certain to come, to be done with what was shown.
  void finish(int rank) noexcept;

  [[nodiscard]] const void* sent(int rank) const noexcept { return at(rank).sent; }
  [[nodiscard]] const void* reduced(int rank) const noexcept { return at(rank).reduced; }

  void abort(int rank) noexcept;
  void leave(int rank) noexcept;

 private:
  static constexpr std::uint64_t longest_ms = 1'000'000'000'000;  // 31 years: no overflow in chrono

  enum class End { none, timed_out, left, aborted };

  using Lock = std::unique_lock<std::mutex>;

  struct Rank {
    const void* sent = nullptr;     // written before arrive() waits, read after it
    const void* reduced = nullptr;  // written before exchange() waits, read after it
    bool arrived = false;           // in this generation
  };

  [[nodiscard]] Rank& at(int rank) noexcept { return ranks_[static_cast<std::size_t>(rank)]; }
  [[nodiscard]] const Rank& at(int rank) const noexcept {
    return ranks_[static_cast<std::size_t>(rank)];
  }

  bool count_in(int rank) noexcept;
  void wait_certain(Lock& lock, int rank) noexcept;
  void wait_abortable(Lock& lock, std::uint64_t generation);
  [[noreturn]] void give_up(int rank);
  [[noreturn]] void throw_end(bool was_waiting) const;

  const int size_;
  const std::chrono::milliseconds timeout_;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::vector<Rank> ranks_;  // [size]
  int waiting_ = 0;
  std::uint64_t generation_ = 0;  // counts completed waits
  End end_ = End::none;           // why there will be no further wait
  int ended_by_ = -1;
  std::string missing_;  // of End::timed_out
};

}  // namespace sparccl
