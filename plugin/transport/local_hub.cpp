#include "transport/local_hub.hpp"

#include <algorithm>

#include <sparccl/types.hpp>

namespace sparccl {

Hub::Hub(int world_size, std::uint64_t timeout_ms)
    : size_(world_size),
      timeout_(std::min<std::uint64_t>(timeout_ms, longest_ms)),
      ranks_(static_cast<std::size_t>(world_size)) {}

/// Returns whether this rank was the last one.
bool Hub::count_in(int rank) noexcept {
  at(rank).arrived = true;
  if (++waiting_ < size_) return false;
  waiting_ = 0;
  for (Rank& each : ranks_) each.arrived = false;
  ++generation_;
  changed_.notify_all();
  return true;
}

void Hub::arrive(int rank, const void* sent) {
  Lock lock(mutex_);
  if (end_ != End::none) throw_end(false);
  at(rank).sent = sent;
  const std::uint64_t generation = generation_;
  if (count_in(rank)) return;
  wait_abortable(lock, generation);
  // Whoever was released stays released, even if the group ended meanwhile: all ranks must agree
  // on whether this transfer takes place.
  if (generation_ != generation) return;
  if (end_ != End::none) throw_end(true);
  give_up(rank);
}

void Hub::wait_abortable(Lock& lock, std::uint64_t generation) {
  const auto over = [&] { return generation_ != generation || end_ != End::none; };
  if (timeout_.count() == 0) {
    changed_.wait(lock, over);
  } else {
    changed_.wait_for(lock, timeout_, over);
  }
}

void Hub::wait_certain(Lock& lock, int rank) noexcept {
  const std::uint64_t generation = generation_;
  if (count_in(rank)) return;
  changed_.wait(lock, [&] { return generation_ != generation; });
}

void Hub::exchange(int rank, const void* reduced) noexcept {
  Lock lock(mutex_);
  at(rank).reduced = reduced;
  wait_certain(lock, rank);
}

void Hub::finish(int rank) noexcept {
  Lock lock(mutex_);
  wait_certain(lock, rank);
}

void Hub::give_up(int rank) {
  std::string missing;
  int count = 0;
  for (int other = 0; other < size_; ++other) {
    if (at(other).arrived) continue;
    missing += (count++ == 0 ? "" : ", ") + std::to_string(other);
  }
  missing_ = (count == 1 ? "rank " : "ranks ") + missing;
  end_ = End::timed_out;
  ended_by_ = rank;
  changed_.notify_all();
  throw_end(true);
}

void Hub::throw_end(bool was_waiting) const {
  const std::string by = "rank " + std::to_string(ended_by_);
  switch (end_) {
    case End::aborted: throw Error(Result::aborted, "the communicator was aborted by " + by);
    case End::left:
      throw Error(Result::remote_error,
                  by + " left: its communicator was destroyed or failed, while all " +
                      std::to_string(size_) + " ranks were expected");
    case End::timed_out:
    case End::none: break;
  }
  const std::string sentence =
      missing_ + " did not arrive within " + std::to_string(timeout_.count()) + " ms";
  if (was_waiting)
    throw Error(Result::timeout,
                sentence + "; all " + std::to_string(size_) + " ranks were expected");
  throw Error(Result::remote_error, by + " gave up: " + sentence);
}

void Hub::abort(int rank) noexcept {
  const Lock lock(mutex_);
  if (end_ == End::aborted) return;
  end_ = End::aborted;
  ended_by_ = rank;
  changed_.notify_all();
}

void Hub::leave(int rank) noexcept {
  const Lock lock(mutex_);
  if (end_ != End::none) return;
  end_ = End::left;
  ended_by_ = rank;
  changed_.notify_all();
}

}  // namespace sparccl
