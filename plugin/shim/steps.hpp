// Which tensor a call is about: its place in a training step.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "shim/call.hpp"
#include "shim/cycle.hpp"

namespace sparccl::shim {

/// Learns the step from the calls that go by, keeps its place in it, and finds it again.
///
/// A call that the step does not expect: where its key stands once in the step, the step goes on
/// from there (it was cut short); where it stands nowhere, the call is none of the step's, unless
/// the step has only just been learned or nothing else comes any more, when it is learned anew.
class Steps {
 public:
  static constexpr std::size_t no_slot = SIZE_MAX;

  /// Collective: every rank's number.
  using Exchange = std::function<std::vector<std::uint64_t>(std::uint64_t own)>;

  explicit Steps(Exchange exchange) : exchange_(std::move(exchange)) {}

  struct Place {
    std::size_t slot = no_slot;        // in the step
    Reason reason = Reason::learning;  // if there is none
  };

  /// Of the next call. Collective every now and then, at the same calls on every rank.
  [[nodiscard]] Place place(const Request& request);

  /// The keys of a step's calls; empty while it is being learned.
  [[nodiscard]] const std::vector<Key>& keys() const noexcept { return keys_; }

  /// After a new step was learned, once: for each of its slots the old slot of the same tensor, or
  /// no_slot. `lost`: how many old ones no new one goes on with.
  struct Change {
    std::vector<std::size_t> from;
    std::size_t lost = 0;
    std::size_t repetitions = 1;  // of the same keys in a step: by buffers, they are other tensors
    bool known_by_buffers =
        true;  // false: buffers never come backed, tensors of one key may be mixed
  };
  [[nodiscard]] bool changed() const noexcept { return changed_; }
  [[nodiscard]] Change take_change();

 private:
  [[nodiscard]] Place follow(const Key& key);
  void learn();
  void forget();
  void settle(std::size_t length);
  [[nodiscard]] std::vector<std::size_t> slots_of(const Key& key) const;

  Exchange exchange_;
  Cycle cycle_;
  std::size_t check_at_ = 0;  // calls seen
  std::vector<Key> keys_, old_keys_;
  std::size_t old_shortest_ = 0, shortest_ = 0;  // sequence of keys of which a step is repetitions
  std::size_t next_ = 0;                         // slot
  std::size_t followed_ = 0;                     // calls since the step was learned
  std::size_t strangers_ = 0;                    // in a row
  bool changed_ = false;
  bool by_buffers_ = true;
};

/// For each of `keys` the place in `old` of the same tensor, or Steps::no_slot. shortest: of the
/// sequence that `old` is repetitions of.
[[nodiscard]] std::vector<std::size_t> carry_over(const std::vector<Key>& old, std::size_t shortest,
                                                  const std::vector<Key>& keys);

}  // namespace sparccl::shim
