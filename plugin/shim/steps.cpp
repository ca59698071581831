#include "shim/steps.hpp"

#include <algorithm>
#include <numeric>

namespace sparccl::shim {
namespace {

/// Where buffers have not come back by now it is said; a while later nobody looks any more.
constexpr std::size_t patience = 64;
constexpr std::size_t despair = 16 * Cycle::longest;  // the longest step is seen many times

/// Whether `keys` are `old` from its place `turn` on, and round again.
bool is_turned(const std::vector<Key>& keys, const std::vector<Key>& old, std::size_t turn) {
  for (std::size_t i = 0; i < keys.size(); ++i) {
    if (keys[i] != old[(i + turn) % old.size()]) return false;
  }
  return true;
}

/// Strangers this early mean that the step was learned wrongly.
std::size_t young(std::size_t step) { return std::max<std::size_t>(4 * step, 64); }

}  // namespace

Steps::Place Steps::place(const Request& request) {
  if (!keys_.empty()) return follow(request);
  cycle_.observe(request.key, request.send, request.recv);
  learn();
  return {};  // what was learned holds from the next call on
}

/// Only where it matters: buffers may move.
void Steps::watch(std::size_t slot, const void* sent) {
  if (!watched_ || sent == sent_[slot]) return;
  for (std::size_t other = 0; other < sent_.size(); ++other) {
    if (sent_[other] == sent && keys_[other] == keys_[slot]) shifted_ = true;
  }
}

Steps::Place Steps::follow(const Request& request) {
  const Key& key = request.key;
  ++followed_;
  if (key == keys_[next_]) {
    strangers_ = 0;
    const std::size_t slot = next_;
    next_ = (next_ + 1) % keys_.size();
    watch(slot, request.send);
    return {.slot = slot};
  }
  const std::vector<std::size_t> slots = slots_of(key);
  if (slots.size() == 1) {
    strangers_ = 0;
    next_ = (slots[0] + 1) % keys_.size();
    return {.slot = slots[0]};
  }
  ++strangers_;
  const bool lost =
      !slots.empty() || followed_ <= young(keys_.size()) || strangers_ >= 2 * keys_.size() + 2;
  if (lost) forget();
  return {.reason = lost ? Reason::learning : Reason::outside_step};
}

/// Ranks look at each other's buffers at the same calls: what triggers it are the keys alone.
void Steps::learn() {
  const std::size_t shortest = cycle_.length();
  if (shortest == 0) {
    check_at_ = 0;
    return;
  }
  const std::size_t calls = cycle_.calls();
  if (calls < check_at_ || calls > despair) return;
  const std::size_t patient_until = std::max(patience, 8 * shortest);
  const std::size_t kept = cycle_.length_with_kept_buffers();
  const bool patient = calls < patient_until;
  const std::vector<std::uint64_t> lengths =
      exchange_(kept != 0 || patient ? kept : cycle_.length_with_settled_buffers());
  if (std::ranges::find(lengths, 0u) != lengths.end()) {
    check_at_ = calls + std::max<std::size_t>(calls / 2, shortest);
    if (patient) check_at_ = std::min(check_at_, patient_until);
    puzzled_ = calls == patient_until;
    return;
  }
  std::size_t length = shortest;
  for (const std::uint64_t other : lengths) {
    const std::size_t both = std::lcm(length, static_cast<std::size_t>(other));
    if (both <= Cycle::longest) length = both;  // too long a step costs memory, never correctness
  }
  if (distrusted_ && length != shortest) return;
  shortest_ = shortest;
  settle(length);
}

void Steps::settle(std::size_t length) {
  const std::vector<Key> repeated = cycle_.last(shortest_);
  for (std::size_t i = 0; i < length; ++i) keys_.push_back(repeated[i % shortest_]);
  next_ = 0;
  followed_ = strangers_ = 0;
  changed_ = true;
  sent_ = cycle_.last_sent(length);
  watched_ = sent_.size() == length && std::ranges::any_of(keys_, [&](const Key& key) {
               return std::ranges::count(keys_, key) > 1;
             });
  shifted_ = false;
}

void Steps::forget() {
  if (!keys_.empty()) {
    old_keys_ = std::move(keys_);
    old_shortest_ = shortest_;
  }
  keys_.clear();
  cycle_ = Cycle();
  check_at_ = 0;
}

void Steps::begin_anew() {
  forget();
  old_shortest_ = 0;  // a step of nothing: none of its places is carried over
  distrusted_ = true;
  shifted_ = false;
}

std::vector<std::size_t> Steps::slots_of(const Key& key) const {
  std::vector<std::size_t> slots;
  for (std::size_t slot = 0; slot < keys_.size(); ++slot) {
    if (keys_[slot] == key) slots.push_back(slot);
  }
  return slots;
}

Steps::Change Steps::take_change() {
  Change change;
  change.from = carry_over(old_keys_, old_shortest_, keys_);
  const auto kept = std::ranges::count_if(change.from, [](auto slot) { return slot != no_slot; });
  change.lost = old_keys_.size() - static_cast<std::size_t>(kept);
  change.repetitions = keys_.size() / shortest_;
  changed_ = false;
  old_keys_.clear();
  return change;
}

bool repeats_inside(const std::vector<Key>& keys) {
  for (std::size_t turn = 1; turn < keys.size(); ++turn) {
    if (is_turned(keys, keys, turn)) return true;
  }
  return false;
}

std::vector<std::size_t> carry_over(const std::vector<Key>& old, std::size_t shortest,
                                    const std::vector<Key>& keys) {
  std::vector<std::size_t> from(keys.size(), Steps::no_slot);
  // The same step, begun at another of its calls. Where it repeats itself inside, nobody can tell
  // which of its repetitions this is.
  if (old.size() == keys.size() && old.size() == shortest) {
    for (std::size_t turn = 0; turn < old.size(); ++turn) {
      if (!is_turned(keys, old, turn)) continue;
      for (std::size_t i = 0; i < keys.size(); ++i) from[i] = (i + turn) % old.size();
      return from;
    }
  }
  for (std::size_t i = 0; i < keys.size(); ++i) {
    const auto only_one = [&](const std::vector<Key>& in) {
      return std::ranges::count(in, keys[i]) == 1;
    };
    if (only_one(keys) && only_one(old)) {
      from[i] = static_cast<std::size_t>(std::ranges::find(old, keys[i]) - old.begin());
    }
  }
  return from;
}

}  // namespace sparccl::shim
