#include "transport/local.hpp"

#include <cstring>
#include <memory>
#include <numeric>
#include <string>
#include <utility>

#include "dense.hpp"
#include "transport/local_hub.hpp"
#include "transport/placement.hpp"

namespace sparccl {
namespace {

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

/// All ranks, or a group of them. A group waits at the hub of all: its calls are made by all groups
/// at the same time, and so a failure reaches everybody. It copies from its own members alone.
class LocalTransport final : public Transport {
 public:
  /// members: [size] ranks of the hub.
  LocalTransport(std::shared_ptr<Hub> hub, std::vector<int> members, int rank, int ranks_per_node,
                 bool leaves)
      : hub_(std::move(hub)),
        members_(std::move(members)),
        rank_(rank),
        ranks_per_node_(ranks_per_node),
        leaves_(leaves) {}
  ~LocalTransport() override {
    if (leaves_) hub_->leave(own());
  }

  [[nodiscard]] int rank() const noexcept override { return rank_; }
  [[nodiscard]] int size() const noexcept override { return static_cast<int>(members_.size()); }

  void all_gather(void* slots, std::size_t bytes, Stream) override { gather(slots, bytes); }
  void meet(void* slots, std::size_t bytes, Stream) override { gather(slots, bytes); }
  void all_reduce(const void* send, void* recv, std::size_t count, DataType type,
                  Reduction reduction, Stream) override;
  void all_to_all(const void* send, void* recv, std::size_t bytes, Stream) override;
  void reduce_scatter(const void* send, void* recv, std::size_t count, DataType type,
                      Stream) override;
  void all_gather_shards(void* data, std::size_t count, std::size_t width, Stream) override;
  [[nodiscard]] std::vector<int> nodes() override {
    return numbered_nodes(members_, ranks_per_node_);
  }
  [[nodiscard]] std::unique_ptr<Transport> group(int color) override;
  void abort() noexcept override { hub_->abort(own()); }
  void give_up(Result) noexcept override { hub_->leave(own()); }

 private:
  [[nodiscard]] int in_hub(int rank) const noexcept {
    return members_[static_cast<std::size_t>(rank)];
  }
  [[nodiscard]] int own() const noexcept { return in_hub(rank_); }
  [[nodiscard]] const std::byte* sent(int rank) const noexcept {
    return static_cast<const std::byte*>(hub_->sent(in_hub(rank)));
  }
  void gather(void* slots, std::size_t bytes);
  template <class Copy>
  void from_the_others(const Copy& copy);
  void reduce_part(void* reduced, std::size_t begin_bytes, std::size_t count, DataType type,
                   Reduction reduction);
  void* staging(std::size_t bytes);

  std::shared_ptr<Hub> hub_;
  const std::vector<int> members_;  // [size]
  const int rank_;
  const int ranks_per_node_;
  const bool leaves_;  // not of a group: its rank goes on without it
  std::vector<const void*> sources_ = std::vector<const void*>(members_.size());
  std::unique_ptr<std::byte[]> staging_;  // this rank's chunk of an all_reduce
  std::size_t staging_bytes_ = 0;
};

/// copy(rank) for each other rank, beginning with the neighbour: no hot spot.
template <class Copy>
void LocalTransport::from_the_others(const Copy& copy) {
  for (int step = 1; step < size(); ++step) copy((rank_ + step) % size());
}

void LocalTransport::gather(void* slots, std::size_t bytes) {
  auto* const base = static_cast<std::byte*>(slots);
  const auto slot = [&](int rank) { return base + bytes * static_cast<std::size_t>(rank); };
  hub_->arrive(own(), slot(rank_));
  from_the_others([&](int from) {
    if (bytes != 0) std::memcpy(slot(from), sent(from), bytes);
  });
  hub_->finish(own());
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

/// Of what all have shown, in rank order. Throws nothing: sources_ is there.
void LocalTransport::reduce_part(void* reduced, std::size_t begin_bytes, std::size_t count,
                                 DataType type, Reduction reduction) {
  for (int rank = 0; rank < size(); ++rank) {
    sources_[static_cast<std::size_t>(rank)] = sent(rank) + begin_bytes;
  }
  reduce(reduced, sources_.data(), size(), count, type, reduction);
}

void LocalTransport::all_reduce(const void* send, void* recv, std::size_t count, DataType type,
                                Reduction reduction, Stream) {
  const std::size_t width = size_of(type);
  const Chunk mine(count, size(), rank_);
  // Nothing throws on one rank alone once it has arrived.
  void* const reduced = staging((mine.end - mine.begin) * width);
  hub_->arrive(own(), send);
  reduce_part(reduced, mine.begin * width, mine.end - mine.begin, type, reduction);
  hub_->exchange(own(), reduced);
  for (int rank = 0; rank < size(); ++rank) {
    const Chunk chunk(count, size(), rank);
    if (chunk.begin == chunk.end) continue;
    std::memcpy(static_cast<std::byte*>(recv) + chunk.begin * width, hub_->reduced(in_hub(rank)),
                (chunk.end - chunk.begin) * width);
  }
  hub_->finish(own());
}

void LocalTransport::all_to_all(const void* send, void* recv, std::size_t bytes, Stream) {
  const auto copy = [&](int from) {
    if (bytes == 0) return;
    std::memcpy(static_cast<std::byte*>(recv) + bytes * static_cast<std::size_t>(from),
                sent(from) + bytes * static_cast<std::size_t>(rank_), bytes);
  };
  hub_->arrive(own(), send);
  copy(rank_);
  from_the_others(copy);
  hub_->finish(own());
}

void LocalTransport::reduce_scatter(const void* send, void* recv, std::size_t count, DataType type,
                                    Stream) {
  const Shard mine(count, size(), rank_);
  const std::size_t begin_bytes = mine.begin * size_of(type);
  hub_->arrive(own(), send);
  reduce_part(recv, begin_bytes, mine.count, type, Reduction::sum);
  hub_->finish(own());
}

void LocalTransport::all_gather_shards(void* data, std::size_t count, std::size_t width, Stream) {
  hub_->arrive(own(), data);
  from_the_others([&](int from) {
    const Shard shard(count, size(), from);
    if (shard.count == 0) return;
    std::memcpy(static_cast<std::byte*>(data) + shard.begin * width,
                sent(from) + shard.begin * width, shard.count * width);
  });
  hub_->finish(own());
}

std::unique_ptr<Transport> LocalTransport::group(int color) {
  std::vector<int> colors(members_.size());
  colors[static_cast<std::size_t>(rank_)] = color;
  gather(colors.data(), sizeof(int));
  std::vector<int> members;
  int place = 0;
  for (const int rank : members_of(colors, rank_)) {
    if (rank == rank_) place = static_cast<int>(members.size());
    members.push_back(in_hub(rank));
  }
  return std::make_unique<LocalTransport>(hub_, std::move(members), place, ranks_per_node_, false);
}

}  // namespace

std::vector<std::unique_ptr<Transport>> make_local_transports(int world_size,
                                                              const CommunicatorOptions& options) {
  if (world_size < 1) {
    throw Error(Result::invalid_argument,
                "number of ranks: expected at least 1, found " + std::to_string(world_size));
  }
  const int ranks_per_node = checked_ranks_per_node(options);
  const auto hub = std::make_shared<Hub>(world_size, options.timeout_ms);
  std::vector<int> all(static_cast<std::size_t>(world_size));
  std::iota(all.begin(), all.end(), 0);
  std::vector<std::unique_ptr<Transport>> transports;
  for (const int rank : all) {
    transports.push_back(std::make_unique<LocalTransport>(hub, all, rank, ranks_per_node, true));
  }
  return transports;
}

}  // namespace sparccl
