// Which tensor a call is about: its place in a training step.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>
#include <utility>
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

  /// Whether the calls repeat, but not their buffers: then it is not known how many tensors there
  /// are, nor whether this is a step at all, and nothing is sparsified. Once.
  [[nodiscard]] bool take_puzzled() noexcept { return std::exchange(puzzled_, false); }

  /// Whether tensors of equal keys stand in the step, which only their order tells apart; whether a
  /// call has come with the buffer of another of them, so that the order cannot be trusted; and an
  /// end to it, which keeps nothing, and after which buffers alone tell no tensors apart any more.
  [[nodiscard]] bool must_be_watched() const noexcept { return watched_; }
  [[nodiscard]] bool is_shifted() const noexcept { return shifted_; }
  void begin_anew();

  /// The keys of a step's calls; empty while it is being learned.
  [[nodiscard]] const std::vector<Key>& keys() const noexcept { return keys_; }

  /// After a new step was learned, once: for each of its slots the old slot of the same tensor, or
  /// no_slot. `lost`: how many old ones no new one goes on with.
  struct Change {
    std::vector<std::size_t> from;
    std::size_t lost = 0;
    std::size_t repetitions = 1;  // of the same keys in a step: by buffers, they are other tensors
  };
  [[nodiscard]] bool changed() const noexcept { return changed_; }
  [[nodiscard]] Change take_change();

 private:
  [[nodiscard]] Place follow(const Request& request);
  void watch(std::size_t slot, const void* sent);
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
  std::vector<const void*> sent_;                // [slot] when the step was learned
  bool watched_ = false;
  bool shifted_ = false;
  bool puzzled_ = false;
  bool distrusted_ = false;
  bool changed_ = false;
};

/// Whether another rotation of the keys is the same sequence.
[[nodiscard]] bool repeats_inside(const std::vector<Key>& keys);

/// For each of `keys` the place in `old` of the same tensor, or Steps::no_slot. shortest: of the
/// sequence that `old` is repetitions of.
[[nodiscard]] std::vector<std::size_t> carry_over(const std::vector<Key>& old, std::size_t shortest,
                                                  const std::vector<Key>& keys);

}  // namespace sparccl::shim
