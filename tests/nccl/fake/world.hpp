// The ranks of one communicator of the stand-in, and what they do together.
#pragma once

#include <nccl.h>

#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <vector>

#include <sparccl/types.hpp>

namespace fake_nccl {

/// What one rank brings to a collective.
struct Collective {
  enum class Kind {
    all_gather,
    all_reduce,
    reduce_scatter,
    reduce,
    broadcast,
    point_to_point  // all sends and receives of a group
  };
  /// One of point_to_point's, to or from a rank.
  struct Message {
    int peer = 0;
    const void* send = nullptr;
    void* recv = nullptr;
    std::size_t bytes = 0;
  };

  Kind kind = Kind::all_gather;
  const void* send = nullptr;
  void* recv = nullptr;
  std::size_t count = 0;
  sparccl::DataType type = sparccl::DataType::uint8;
  sparccl::Reduction reduction = sparccl::Reduction::sum;
  int root = 0;
  std::vector<Message> sends;
  std::vector<Message> receives;

  /// But for messages, of which each end has its own.
  [[nodiscard]] bool fits(const Collective& other) const {
    return kind == other.kind && count == other.count && type == other.type &&
           reduction == other.reduction && root == other.root;
  }
};

class World {
 public:
  explicit World(int size) : size_(size), aborted_(static_cast<std::size_t>(size), false) {}

  [[nodiscard]] int size() const { return size_; }

  /// Waits until every rank is connected. false: this rank was aborted, or gives up.
  bool connect(int rank, const std::function<bool()>& gives_up);

  /// Carries a collective out, in host functions of all ranks' streams: the n-th of each rank meet.
  /// Ranks that bring what does not fit wait until they are aborted, as kernels would. Sends and
  /// receives fit where each has its other end, of the same size; here, unlike NCCL, all ranks have
  /// to take part in them.
  void carry_out(int rank, const Collective& own);

  /// Ends this rank's waits, now and later.
  void abort(int rank);
  [[nodiscard]] bool aborted(int rank);

  /// One rank's part of a split: waits for the others. The new world and the rank in it; null if
  /// the rank was aborted.
  struct Part {
    std::shared_ptr<World> world;
    int rank = 0;
  };
  Part split(int rank, int color, int key);

 private:
  using Lock = std::unique_lock<std::mutex>;

  struct Round {
    std::vector<Collective> brought;  // [size]
    std::vector<bool> here;
    int arrived = 0;
    int reached[2] = {0, 0};  // how many ranks have come to each of the later meeting points
    bool sound = true;
  };
  struct Wish {
    int color = 0;
    int key = 0;
  };
  struct Splitting {
    std::map<int, Wish> wishes;                    // by rank
    std::map<int, std::shared_ptr<World>> worlds;  // by colour
  };

  void meet(Lock& lock, Round& round, int point);

  const int size_;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::vector<bool> aborted_;
  std::vector<bool> connected_ = std::vector<bool>(static_cast<std::size_t>(size_), false);
  std::map<int, std::uint64_t> next_round_;  // by rank
  std::map<std::uint64_t, Round> rounds_;
  std::map<int, std::uint64_t> next_split_;
  std::map<std::uint64_t, Splitting> splits_;
};

/// Collectives that all ranks of a world have carried out, over all worlds.
std::size_t completed();

}  // namespace fake_nccl
