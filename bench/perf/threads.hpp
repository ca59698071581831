// Ranks that are threads of this process.
#pragma once

#include <condition_variable>
#include <memory>
#include <mutex>
#include <optional>
#include <vector>

#include "ranks.hpp"

namespace sparccl::perf {

/// Where threads meet. After fail() nobody waits any longer.
class Meeting {
 public:
  explicit Meeting(int size) : shown_(static_cast<std::size_t>(size)) {}

  /// Throws OtherRankFailed.
  void meet();
  /// The same, and shows a pointer to the others, who may use it until they have met again.
  void meet(int rank, void* shown);
  [[nodiscard]] void* shown(int rank) const { return shown_[static_cast<std::size_t>(rank)]; }
  void fail();

 private:
  void wait(std::unique_lock<std::mutex>& lock);

  std::mutex mutex_;
  std::condition_variable changed_;
  std::vector<void*> shown_;
  std::size_t waiting_ = 0;
  std::size_t generation_ = 0;
  bool failed_ = false;
};

class ThreadRanks : public Ranks {
 public:
  ThreadRanks(int rank, int size, std::shared_ptr<Meeting> meeting)
      : Ranks(rank, size), meeting_(std::move(meeting)) {}

  void barrier() override { meeting_->meet(); }
  void all_gather(void* all, std::size_t bytes) override;
  void sum(std::span<float> values) override;
  [[nodiscard]] Communicator communicator(const CommunicatorOptions& options) override;

 private:
  std::shared_ptr<Meeting> meeting_;
};

using MakeRanks = std::function<std::unique_ptr<Ranks>(int rank, std::shared_ptr<Meeting>)>;

/// run_threads with ranks of another kind.
[[nodiscard]] int run_threads_of(int size, const MakeRanks& make, const Body& body);

}  // namespace sparccl::perf
