#include "shim/cycle.hpp"

#include <algorithm>
#include <numeric>

namespace sparccl::shim {

namespace {
constexpr std::size_t room = 2 * Cycle::longest;  // what a look at the buffers may need
}

void Cycle::observe(const Key& key, const void* send, const void* recv) {
  if (calls_.size() == 2 * room) {
    calls_.erase(calls_.begin(), calls_.begin() + static_cast<std::ptrdiff_t>(room));
  }
  calls_.push_back({key, send, recv});
  ++total_;
  const std::size_t now = calls_.size() - 1;
  equal_.resize(std::max(equal_.size(), std::min(now, longest) + 1));
  for (std::size_t period = 1; period < equal_.size(); ++period) {
    const bool same = period <= now && calls_[now - period].key == key;
    equal_[period] = same ? equal_[period] + 1 : 0;
  }
}

std::size_t Cycle::length() const noexcept {
  if (calls_.size() < least_calls) return 0;
  for (std::size_t period = 1; period < equal_.size(); ++period) {
    if (equal_[period] >= (least_repetitions - 1) * period) return period;
  }
  return 0;
}

/// Whether each call from `first` on has the buffer of that `period` calls before it.
bool Cycle::comes_back(Buffer buffer, std::size_t period, std::size_t first) const {
  for (std::size_t i = first; i < calls_.size(); ++i) {
    if (calls_[i].*buffer != calls_[i - period].*buffer) return false;
  }
  return true;
}

std::size_t Cycle::kept(Buffer buffer, std::size_t first, std::size_t times) const {
  const std::size_t shortest = length();
  for (std::size_t period = shortest; first + times * period <= calls_.size() && period <= longest;
       period += shortest) {
    if (comes_back(buffer, period, first + period)) return period;
  }
  return 0;
}

/// Where the repetitions began; of long ones, as far back as calls are remembered.
std::size_t Cycle::first_repeated() const {
  const std::size_t shortest = length();
  return calls_.size() - std::min(calls_.size(), equal_[shortest] + shortest);
}

/// Of both. One that does not come back tells nothing of how many tensors there are.
std::size_t Cycle::kept(std::size_t first, std::size_t times) const {
  const std::size_t sent = kept(&Call::send, first, times);
  const std::size_t received = kept(&Call::recv, first, times);
  if (sent == 0 || received == 0) return 0;
  const std::size_t both = std::lcm(sent, received);
  return both <= longest ? both : 0;
}

std::size_t Cycle::length_with_kept_buffers() const {
  return length() == 0 ? 0 : kept(first_repeated(), 2);
}

std::size_t Cycle::length_with_settled_buffers() const {
  if (length() == 0) return 0;
  return kept(calls_.size() - (calls_.size() - first_repeated()) / 2, settled_repetitions);
}

std::vector<const void*> Cycle::last_sent(std::size_t calls) const {
  std::vector<const void*> sent;
  for (std::size_t i = calls_.size() - std::min(calls, calls_.size()); i < calls_.size(); ++i) {
    sent.push_back(calls_[i].send);
  }
  return sent;
}

std::vector<Key> Cycle::last(std::size_t calls) const {
  std::vector<Key> keys;
  for (std::size_t i = calls_.size() - calls; i < calls_.size(); ++i) keys.push_back(calls_[i].key);
  return keys;
}

}  // namespace sparccl::shim
