#include "transport/nccl_waits.hpp"

#include <algorithm>
#include <utility>

namespace sparccl {

bool Waits::complete(const cuda::Event& event) {
  const cudaError_t code = cudaEventQuery(event.get());
  if (code != cudaErrorNotReady) cuda::check(code);
  if (code != cudaSuccess) static_cast<void>(cudaGetLastError());
  return code == cudaSuccess;
}

void Waits::begin(const Exchange& exchange, cudaStream_t stream) {
  const std::lock_guard<std::mutex> lock(mutex_);
  if (spare_.empty()) spare_.emplace_back();
  Wait& wait = spare_.back();
  wait.exchange = exchange;
  wait.stream = stream;
  wait.enqueued = wait.begun = false;
  cuda::check(cudaEventRecord(wait.begin.get(), stream));
  under_way_.push_back(std::move(wait));
  spare_.pop_back();
}

void Waits::enqueued() {
  const std::lock_guard<std::mutex> lock(mutex_);
  for (Wait& wait : under_way_) {
    if (wait.enqueued) continue;
    cuda::check(cudaEventRecord(wait.end.get(), wait.stream));
    wait.enqueued = true;
  }
}

std::optional<Exchange> Waits::overdue(std::chrono::milliseconds limit) {
  const std::lock_guard<std::mutex> lock(mutex_);
  const Clock::time_point now = Clock::now();
  std::optional<Exchange> found;
  const auto over = [&](Wait& wait) {
    if (!wait.enqueued || found) return false;
    if (!wait.begun) {
      wait.begun = complete(wait.begin);
      wait.since = now;
    }
    if (!wait.begun) return false;
    if (complete(wait.end)) return true;
    if (now - wait.since > limit) found = wait.exchange;
    return false;
  };
  const auto done = std::stable_partition(under_way_.begin(), under_way_.end(),
                                          [&](Wait& wait) { return !over(wait); });
  std::move(done, under_way_.end(), std::back_inserter(spare_));
  under_way_.erase(done, under_way_.end());
  return found;
}

void Waits::clear() {
  const std::lock_guard<std::mutex> lock(mutex_);
  std::move(under_way_.begin(), under_way_.end(), std::back_inserter(spare_));
  under_way_.clear();
}

}  // namespace sparccl
