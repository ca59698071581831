#include "shim/cycle.hpp"

#include <algorithm>

namespace sparccl::shim {

namespace {
constexpr std::size_t room = 2 * Cycle::longest;  // what length_with_buffers() may look at
}

void Cycle::observe(const Key& key, const void* buffer) {
  if (calls_.size() == 2 * room) {
    calls_.erase(calls_.begin(), calls_.begin() + static_cast<std::ptrdiff_t>(room));
  }
  calls_.push_back({key, buffer});
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

std::size_t Cycle::length_with_buffers() const {
  const std::size_t shortest = length();
  if (shortest == 0) return 0;
  const std::size_t now = calls_.size();
  for (std::size_t period = shortest; 2 * period <= now && period <= longest; period += shortest) {
    bool repeats = true;
    for (std::size_t i = now - period; repeats && i < now; ++i) {
      repeats =
          calls_[i].key == calls_[i - period].key && calls_[i].buffer == calls_[i - period].buffer;
    }
    if (repeats) return period;
  }
  return 0;
}

std::vector<Key> Cycle::last(std::size_t calls) const {
  std::vector<Key> keys;
  for (std::size_t i = calls_.size() - calls; i < calls_.size(); ++i) keys.push_back(calls_[i].key);
  return keys;
}

}  // namespace sparccl::shim
