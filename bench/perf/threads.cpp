#include "threads.hpp"

#include <algorithm>
#include <cstring>
#include <thread>

#include "failures.hpp"

namespace sparccl::perf {

void Meeting::meet() {  // what was shown stays: others may still look
  std::unique_lock lock(mutex_);
  wait(lock);
}

void Meeting::meet(int rank, void* shown) {
  std::unique_lock lock(mutex_);
  shown_[static_cast<std::size_t>(rank)] = shown;
  wait(lock);
}

void Meeting::wait(std::unique_lock<std::mutex>& lock) {
  if (failed_) throw OtherRankFailed("another rank has failed");
  if (++waiting_ == shown_.size()) {
    waiting_ = 0;
    ++generation_;
    changed_.notify_all();
    return;
  }
  const std::size_t mine = generation_;
  changed_.wait(lock, [&] { return generation_ != mine || failed_; });
  if (generation_ == mine) throw OtherRankFailed("another rank has failed");
}

void Meeting::fail() {
  const std::scoped_lock lock(mutex_);
  failed_ = true;
  changed_.notify_all();
}

void ThreadRanks::all_gather(void* all, std::size_t bytes) {
  const auto part = [&](void* of, int rank) {
    return static_cast<std::byte*>(of) + static_cast<std::size_t>(rank) * bytes;
  };
  meeting_->meet(rank(), all);
  for (int other = 0; other < size(); ++other) {
    if (other != rank()) std::memcpy(part(all, other), part(meeting_->shown(other), other), bytes);
  }
  meeting_->meet();
}

void ThreadRanks::sum(std::span<float> values) {
  meeting_->meet(rank(), values.data());
  std::vector<float> sums(values.size());
  for (int other = 0; other < size(); ++other) {
    const auto* const theirs = static_cast<const float*>(meeting_->shown(other));
    for (std::size_t i = 0; i < sums.size(); ++i) sums[i] += theirs[i];
  }
  meeting_->meet();
  std::ranges::copy(sums, values.begin());
}

Communicator ThreadRanks::communicator(const CommunicatorOptions& options) {
  std::vector<Communicator> made;
  if (rank() == 0) made = Communicator::local(size(), options);
  meeting_->meet(rank(), &made);
  Communicator mine = (*static_cast<std::vector<Communicator>*>(
      meeting_->shown(0)))[static_cast<std::size_t>(rank())];
  meeting_->meet();
  return mine;
}

int run_threads_of(int size, const MakeRanks& make, const Body& body) {
  const auto meeting = std::make_shared<Meeting>(size);
  std::vector<int> statuses(static_cast<std::size_t>(size));
  const auto run = [&](int rank) {
    int& status = statuses[static_cast<std::size_t>(rank)];
    try {
      status = body(*make(rank, meeting));
    } catch (...) {
      meeting->fail();
      status = status_of_exception(rank);
    }
  };
  std::vector<std::jthread> threads;
  for (int rank = 1; rank < size; ++rank) threads.emplace_back(run, rank);
  run(0);
  threads.clear();
  return std::ranges::max(statuses);
}

int run_threads(int size, const Body& body) {
  return run_threads_of(
      size,
      [size](int rank, std::shared_ptr<Meeting> meeting) {
        return std::make_unique<ThreadRanks>(rank, size, std::move(meeting));
      },
      body);
}

}  // namespace sparccl::perf
