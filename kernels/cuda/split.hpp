// What Path::split needs on a device besides a tensor's workspace, and block tables of lists.
#pragma once

#include "cuda/block.hpp"
#include "cuda/workspace.hpp"

namespace sparccl::cuda {

template <class A>
struct SplitScratch {
  std::uint64_t* segments = nullptr;   // [world + 1] where each range's entries begin: see below
  std::uint64_t* kept = nullptr;       // [world + 1] the same of what is sent
  std::uint64_t* positions = nullptr;  // [k] of what is sent, ascending
  std::uint32_t* bad = nullptr;        // [world] a packet's table cannot be relied on

  // reduce: the sums of a tile of this rank's range begin where its entries would if those of all
  // ranks stood in one list, so that no tile waits for another.
  std::uint64_t* starts = nullptr;      // [world][tiles + 1] where each tile's entries begin
  std::uint64_t* tile_start = nullptr;  // [tiles] where its sums begin
  std::uint32_t* tile_count = nullptr;  // [tiles]
  std::uint32_t* tile_above = nullptr;  // [tiles] as in a Workspace, and so are the next two
  std::uint32_t* tile_equal = nullptr;
  std::uint64_t* tile_out = nullptr;
  std::uint16_t* offsets = nullptr;  // [room] of sums
  A* sums = nullptr;                 // [room]
  Bits<A>* scores = nullptr;         // [room] |sum|

  // judge, join.
  std::uint64_t* reduced_starts = nullptr;  // [world][reduced blocks + 1]
  std::uint8_t* found = nullptr;            // [k] whether what was sent was reduced, and if so:
  A* ratios = nullptr;                      // [k] what the history keeps of it
  std::uint64_t* remembered = nullptr;      // [k] the positions of the history, ascending

  std::size_t tiles = 0;           // of the longest range
  std::size_t reduced_blocks = 0;  // of the longest range
  std::size_t bytes = 0;           // of all of it

  /// memory: what Backend::split_bytes asked for, zeroed once; null to learn `bytes`.
  SplitScratch(const SplitPlan& split, void* memory) : base_(static_cast<std::byte*>(memory)) {
    const auto world = static_cast<std::size_t>(split.whole.world_size);
    const std::size_t room = world * split.sent.k;
    tiles = (split.sent.count + tile_size - 1) / tile_size;
    reduced_blocks = split.reduced.blocks();
    take(segments, world + 1);
    take(kept, world + 1);
    take(positions, split.whole.k);
    take(bad, world);
    take(starts, world * (tiles + 1));
    take(tile_start, tiles);
    take(tile_count, tiles);
    take(tile_above, tiles);
    take(tile_equal, tiles);
    take(tile_out, tiles);
    take(offsets, room);
    take(sums, room);
    take(scores, room);
    take(reduced_starts, world * (reduced_blocks + 1));
    take(found, split.whole.k);
    take(ratios, split.whole.k);
    take(remembered, split.whole.k);
  }

 private:
  template <class T>
  void take(T*& part, std::size_t count) {
    if (base_ != nullptr) part = reinterpret_cast<T*>(base_ + bytes);
    bytes += (count * sizeof(T) + 255) / 256 * 256;
  }
  std::byte* base_;
};

/// The place of this thread in the grid, and its size.
struct GridStride {
  std::uint64_t first, step;

  __device__ GridStride()
      : first(std::uint64_t{blockIdx.x} * blockDim.x + threadIdx.x),
        step(std::uint64_t{gridDim.x} * blockDim.x) {}
};

/// Which of the ranges that begin at bounds [ranks + 1] holds `at`. There must be one.
__device__ inline std::uint64_t range_of(const std::uint64_t* bounds, std::uint64_t ranks,
                                         std::uint64_t at) {
  return lower_bound_shared(bounds, 0, ranks + 1, at + 1) - 1;
}

/// How many of positions [first, last), which ascend, lie in the block that begins at `begin`.
__device__ inline std::uint32_t entries_in_block(const std::uint64_t* positions,
                                                 std::uint64_t first, std::uint64_t last,
                                                 std::uint64_t begin) {
  const std::uint64_t from = lower_bound_shared(positions, first, last, begin);
  return static_cast<std::uint32_t>(lower_bound_shared(positions, from, last, begin + block_size) -
                                    from);
}

}  // namespace sparccl::cuda
