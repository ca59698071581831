#include "transport/local.hpp"

#include <algorithm>
#include <chrono>
#include <condition_variable>
#include <cstring>
#include <mutex>
#include <string>

#include "dense.hpp"

namespace sparccl {
namespace {

/// What the ranks of a group share: the place where they wait for each other.
///
/// A transfer has one abortable wait, in which every rank shows its buffer, and then only certain
/// ones: every rank is in the transfer by then and copies without waiting for anything else. So an
/// abort never frees a buffer that another rank still reads.
class Hub {
 public:
  Hub(int world_size, std::uint64_t timeout_ms)
      : size_(world_size),
        timeout_(std::min<std::uint64_t>(timeout_ms, longest_ms)),
        ranks_(static_cast<std::size_t>(world_size)) {}

  [[nodiscard]] int size() const noexcept { return size_; }

  /// Shows what this rank sends and waits until every rank has shown its own. Throws when that will
  /// not happen.
  void arrive(int rank, const void* sent);

  /// Shows what this rank has reduced and waits for the others, which are certain to come.
  void exchange(int rank, const void* reduced) noexcept;

  /// Waits for the others, which are certain to come, to be done with what was shown.
  void finish(int rank) noexcept;

  [[nodiscard]] const void* sent(int rank) const noexcept { return at(rank).sent; }
  [[nodiscard]] const void* reduced(int rank) const noexcept { return at(rank).reduced; }

  void abort(int rank) noexcept;
  void leave(int rank) noexcept;

 private:
  static constexpr std::uint64_t longest_ms = 1'000'000'000'000;  // 31 years: no overflow in chrono

  enum class End { none, timed_out, left, aborted };

  using Lock = std::unique_lock<std::mutex>;

  struct Rank {
    const void* sent = nullptr;     // written before arrive() waits, read after it
    const void* reduced = nullptr;  // written before exchange() waits, read after it
    bool arrived = false;           // in this generation
  };

  [[nodiscard]] Rank& at(int rank) noexcept { return ranks_[static_cast<std::size_t>(rank)]; }
  [[nodiscard]] const Rank& at(int rank) const noexcept {
    return ranks_[static_cast<std::size_t>(rank)];
  }

  bool count_in(int rank) noexcept;
  void wait_certain(Lock& lock, int rank) noexcept;
  void wait_abortable(Lock& lock, std::uint64_t generation);
  [[noreturn]] void give_up(int rank);
  [[noreturn]] void throw_end(bool was_waiting) const;

  const int size_;
  const std::chrono::milliseconds timeout_;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::vector<Rank> ranks_;  // [size]
  int waiting_ = 0;
  std::uint64_t generation_ = 0;  // counts completed waits
  End end_ = End::none;           // why there will be no further wait
  int ended_by_ = -1;
  std::string missing_;  // of End::timed_out
};

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

/// Entries [begin, end) of a dense tensor that a rank reduces. Whole cache lines of any type.
struct Chunk {
  Chunk(std::size_t count, int ranks, int rank) noexcept {
    const auto parts = static_cast<std::size_t>(ranks);
    const std::size_t each = (count / parts + 1 + 63) / 64 * 64;
    begin = std::min(count, each * static_cast<std::size_t>(rank));
    end = std::min(count, begin + each);
  }
  std::size_t begin = 0;
  std::size_t end = 0;
};

class LocalTransport final : public Transport {
 public:
  LocalTransport(std::shared_ptr<Hub> hub, int rank) : hub_(std::move(hub)), rank_(rank) {}
  ~LocalTransport() override { hub_->leave(rank_); }

  [[nodiscard]] int rank() const noexcept override { return rank_; }
  [[nodiscard]] int size() const noexcept override { return hub_->size(); }

  void all_gather(void* slots, std::size_t bytes, Stream) override { gather(slots, bytes); }
  void meet(void* slots, std::size_t bytes, Stream) override { gather(slots, bytes); }
  void all_reduce(const void* send, void* recv, std::size_t count, DataType type,
                  Reduction reduction, Stream) override;
  void abort() noexcept override { hub_->abort(rank_); }
  void give_up(Result) noexcept override { hub_->leave(rank_); }

 private:
  void gather(void* slots, std::size_t bytes);
  void* staging(std::size_t bytes);

  std::shared_ptr<Hub> hub_;
  int rank_;
  std::unique_ptr<std::byte[]> staging_;  // this rank's chunk of an all_reduce
  std::size_t staging_bytes_ = 0;
};

void LocalTransport::gather(void* slots, std::size_t bytes) {
  auto* const base = static_cast<std::byte*>(slots);
  const auto slot = [&](int rank) { return base + bytes * static_cast<std::size_t>(rank); };
  hub_->arrive(rank_, slot(rank_));
  for (int step = 1; step < size(); ++step) {  // each rank begins at its neighbour: no hot spot
    const int from = (rank_ + step) % size();
    if (bytes != 0) std::memcpy(slot(from), hub_->sent(from), bytes);
  }
  hub_->finish(rank_);
}

void* LocalTransport::staging(std::size_t bytes) {
  if (bytes > staging_bytes_) {
    staging_bytes_ = 0;  // stays true if the allocation throws
    staging_.reset();
    staging_ = std::make_unique_for_overwrite<std::byte[]>(bytes);
    staging_bytes_ = bytes;
  }
  return staging_.get();
}

void LocalTransport::all_reduce(const void* send, void* recv, std::size_t count, DataType type,
                                Reduction reduction, Stream) {
  const std::size_t width = size_of(type);
  const Chunk mine(count, size(), rank_);
  // Nothing throws on one rank alone once it has arrived.
  void* const reduced = staging((mine.end - mine.begin) * width);
  std::vector<const void*> sources(static_cast<std::size_t>(size()));
  hub_->arrive(rank_, send);
  for (int rank = 0; rank < size(); ++rank) {
    sources[static_cast<std::size_t>(rank)] =
        static_cast<const std::byte*>(hub_->sent(rank)) + mine.begin * width;
  }
  reduce(reduced, sources.data(), size(), mine.end - mine.begin, type, reduction);
  hub_->exchange(rank_, reduced);
  for (int rank = 0; rank < size(); ++rank) {
    const Chunk chunk(count, size(), rank);
    if (chunk.begin == chunk.end) continue;
    std::memcpy(static_cast<std::byte*>(recv) + chunk.begin * width, hub_->reduced(rank),
                (chunk.end - chunk.begin) * width);
  }
  hub_->finish(rank_);
}

}  // namespace

std::vector<std::unique_ptr<Transport>> make_local_transports(int world_size,
                                                              const CommunicatorOptions& options) {
  if (world_size < 1) {
    throw Error(Result::invalid_argument,
                "number of ranks: expected at least 1, found " + std::to_string(world_size));
  }
  const auto hub = std::make_shared<Hub>(world_size, options.timeout_ms);
  std::vector<std::unique_ptr<Transport>> transports;
  for (int rank = 0; rank < world_size; ++rank) {
    transports.push_back(std::make_unique<LocalTransport>(hub, rank));
  }
  return transports;
}

}  // namespace sparccl
