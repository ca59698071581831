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

  void observe(const Key& key, const void* buffer);

  /// The length of the shortest sequence of keys that the last calls are repetitions of, at least
  /// least_repetitions of them; 0: there is none.
  [[nodiscard]] std::size_t length() const noexcept;

  /// The shortest multiple of length() after which the buffers repeat as well, seen twice; 0: there
  /// is none. Tensors of equal keys are told apart by it.
  [[nodiscard]] std::size_t length_with_buffers() const;

  /// The last calls, oldest first.
  [[nodiscard]] std::vector<Key> last(std::size_t calls) const;

  /// Calls observed.
  [[nodiscard]] std::size_t calls() const noexcept { return total_; }

 private:
  struct Call {
    Key key;
    const void* buffer = nullptr;
  };
  std::vector<Call> calls_;  // the last of them
  std::size_t total_ = 0;
  std::vector<std::size_t> equal_;  // [p]: how many calls up to the last equal those p before them
};

}  // namespace sparccl::shim
