// Which sequence of calls repeats: a training step as seen from below.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "shim/call.hpp"

namespace sparccl::shim {

/// Watches calls go by. Keys come in the same order on every rank (or the program is broken), so
/// what follows from them alone is the same on every rank. Where buffers lie is this rank's own.
class Cycle {
 public:
  static constexpr std::size_t longest = 4096;    // calls of a step
  static constexpr std::size_t least_calls = 12;  // seen before anything is called a cycle
  static constexpr std::size_t least_repetitions = 3;
  static constexpr std::size_t settled_repetitions = 8;

  void observe(const Key& key, const void* send, const void* recv);

  /// The length of the shortest sequence of keys that the last calls are repetitions of, at least
  /// least_repetitions of them; 0: there is none.
  [[nodiscard]] std::size_t length() const noexcept;

  // Multiples of length(), by which tensors of equal keys are told apart; 0: there is none.

  /// After how many calls all buffers, sent and received to, have come back in every repetition,
  /// twice at least: as often as the slower of the two.
  [[nodiscard]] std::size_t length_with_kept_buffers() const;

  /// The same over the second half of the repetitions, settled_repetitions times at least: for
  /// buffers that were others at first. What an allocator does by habit rarely keeps up so long.
  [[nodiscard]] std::size_t length_with_settled_buffers() const;

  /// What was sent in the last calls, oldest first.
  [[nodiscard]] std::vector<const void*> last_sent(std::size_t calls) const;

  /// The last calls, oldest first.
  [[nodiscard]] std::vector<Key> last(std::size_t calls) const;

  /// Calls observed.
  [[nodiscard]] std::size_t calls() const noexcept { return total_; }

 private:
  struct Call {
    Key key;
    const void* send = nullptr;
    const void* recv = nullptr;
  };
  using Buffer = const void* Call::*;
  /// Over the calls from `first` on, so many times at least.
  [[nodiscard]] std::size_t kept(Buffer buffer, std::size_t first, std::size_t times) const;
  [[nodiscard]] std::size_t kept(std::size_t first, std::size_t times) const;
  [[nodiscard]] std::size_t first_repeated() const;
  [[nodiscard]] bool comes_back(Buffer buffer, std::size_t period, std::size_t first) const;

  std::vector<Call> calls_;  // the last of them
  std::size_t total_ = 0;
  std::vector<std::size_t> equal_;  // [p]: how many calls up to the last equal those p before them
};

}  // namespace sparccl::shim
