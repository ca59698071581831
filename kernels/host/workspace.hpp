// The scratch memory of one tensor, carved out of one allocation.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>

#include "host/simd.hpp"
#include "stages.hpp"

namespace sparccl::host {

/// Entries that go through the fused pass at once: they stay in the first-level cache, and the
/// candidates need room for no more than this between two looks.
inline constexpr std::size_t chunk_size = 8192;

/// Entries of the result that are summed at once; divides block_size. In the second-level cache;
/// smaller ones would spend their time at the ends of short lists.
inline constexpr std::size_t tile_size = 16'384;

/// Entries of a tile before its first that are kept free, so that its lines can be made to coincide
/// with those of the result, wherever that begins.
inline constexpr std::size_t tile_margin = 64;

/// Candidates that are split into winners and losers at once.
inline constexpr std::size_t split_size = 1024;

/// Scores that are looked at to find out where the k-th largest of many must lie.
inline constexpr std::size_t score_sample = 4096;

/// Entries past the end that a vector store may touch.
inline constexpr std::size_t padding = 16;

struct WorkspaceHeader {
  std::size_t candidates = 0;   // now in the list
  std::uint64_t guess = 0;      // bits of a score that k candidates should reach
  std::uint64_t passed = 0;     // candidates in this step, those dropped since included
  std::uint64_t fallbacks = 0;  // 0 or 1, in this step
  bool finite = true;           // else this rank's sums were not
  bool taken = false;           // there is something that restore() would undo
  Verdict verdict;              // of this step
};

/// Room for candidates: half as many again as are sent (the sample's bound lets about 1.2 to 1.5 k
/// through), and two chunks to take in before they have to be thinned out.
[[nodiscard]] inline std::size_t candidate_capacity(const Plan& plan) {
  return std::min(plan.count, plan.k + plan.k / 2 + 2 * chunk_size);
}

template <class A>
struct Workspace {
  WorkspaceHeader* header = nullptr;
  std::uint32_t* per_block = nullptr;  // [blocks] candidates in each block
  std::uint16_t* offsets = nullptr;    // [capacity + padding] in position order
  A* values = nullptr;                 // [capacity + padding] a, with its sign
  A* scores = nullptr;                 // [capacity + padding] |a| d
  List<A> losers;                      // [split_size + padding], no scores
  A* narrowed = nullptr;               // [narrowed_room] scores near the k-th
  std::size_t narrowed_room = 0;
  A* sums = nullptr;                 // [tile_margin + tile_size] zeros between calls
  std::byte* tile = nullptr;         // the same in the type of the result; zeros between calls
  std::uint64_t* touched = nullptr;  // one bit an entry, or a line of the result; see merge
  std::size_t* next = nullptr;       // [world_size] entries of each packet merged so far
  std::size_t* begin = nullptr;      // [world_size] where this tile began
  std::size_t* end = nullptr;        // [world_size] where this block ends
  std::size_t bytes = 0;             // of all of it

  /// memory: what Backend::workspace_bytes asked for, zeroed once; null to learn `bytes`.
  Workspace(const Plan& plan, void* memory) : base_(static_cast<std::byte*>(memory)) {
    const std::size_t room = candidate_capacity(plan) + padding;
    const auto world = static_cast<std::size_t>(plan.world_size);
    take(header, 1);
    take(per_block, plan.blocks());
    take(offsets, room);
    take(values, room);
    take(scores, room);
    take(losers.offsets, split_size + padding);
    take(losers.values, split_size + padding);
    narrowed_room = room < 16 * score_sample ? 0 : std::max(score_sample, room / 8);
    take(narrowed, narrowed_room);
    take(sums, tile_margin + tile_size);
    take(tile, (tile_margin + tile_size) * size_of(plan.type));
    take(touched, (tile_margin + tile_size) / 64);
    take(next, world);
    take(begin, world);
    take(end, world);
  }

 private:
  template <class T>
  void take(T*& part, std::size_t count) {
    if (base_ != nullptr) part = reinterpret_cast<T*>(base_ + bytes);
    bytes += (count * sizeof(T) + 63) / 64 * 64;
  }
  std::byte* base_;
};

/// Walks a list of entries in position order.
class Entries {
 public:
  Entries(const std::uint32_t* per_block, std::size_t blocks, const std::uint16_t* offsets)
      : per_block_(per_block),
        blocks_(blocks),
        offsets_(offsets),
        block_end_(blocks == 0 ? 0 : per_block[0]) {}

  /// f(offset in block, index in list) for the entries in [begin, end), which lies in one block.
  /// Ranges must ascend from call to call.
  template <class F>
  void visit(std::size_t begin, std::size_t end, F&& f) {
    const std::size_t block = begin / block_size;
    while (block_ < block) skip_block();
    const std::size_t first = begin - block * block_size;
    const std::size_t last = end - block * block_size;
    while (index_ < block_end_ && offsets_[index_] < first) ++index_;
    for (; index_ < block_end_ && offsets_[index_] < last; ++index_) f(offsets_[index_], index_);
  }

  /// Moves to the next entry and gives its position. False at the end of the list.
  bool next(std::size_t& position) {
    while (index_ == block_end_) {
      if (block_ + 1 >= blocks_) return false;
      skip_block();
    }
    position = block_ * block_size + offsets_[index_++];
    return true;
  }

 private:
  void skip_block() {
    index_ = block_end_;
    block_end_ += per_block_[++block_];
  }

  const std::uint32_t* per_block_;
  std::size_t blocks_;
  const std::uint16_t* offsets_;
  std::size_t block_end_;
  std::size_t block_ = 0;
  std::size_t index_ = 0;
};

}  // namespace sparccl::host
