// From counts of each tile to places in the list of the selected, and giving candidates back. Each
// thread block works on a range of whole blocks of the tensor, so that ranges in order are tiles in
// order.
#pragma once

#include "cuda/block.hpp"
#include "cuda/workspace.hpp"

namespace sparccl::cuda {

/// Tiles [begin, end) of this thread block.
struct TileRange {
  std::uint64_t begin, end;

  __device__ TileRange(std::uint64_t tiles, std::uint64_t blocks) {
    const std::uint64_t each = (blocks + gridDim.x - 1) / gridDim.x * tiles_per_block;
    begin = each * blockIdx.x < tiles ? each * blockIdx.x : tiles;
    end = begin + each < tiles ? begin + each : tiles;
  }
};

/// The k-th largest score, and how many of those equal to it belong to the k largest.
template <class B>
struct Threshold {
  B bits = 0;
  std::uint64_t ties = 0;
};

/// Totals of this thread block: known to all others behind the next grid barrier.
template <class A>
__device__ void announce_totals(const Workspace<A>& work, const TileRange& range,
                                WarpTotals& totals) {
  std::uint64_t above = 0, equal = 0;
  for (std::uint64_t t = range.begin + threadIdx.x; t < range.end; t += blockDim.x) {
    above += load_shared(work.tile_above + t);
    equal += load_shared(work.tile_equal + t);
  }
  above = block_sum(above, totals);
  equal = block_sum(equal, totals);
  if (threadIdx.x == 0) {
    store(work.totals + 2 * blockIdx.x, above);
    store(work.totals + 2 * blockIdx.x + 1, equal);
  }
}

/// Sums of the totals of the thread blocks before this one, or of all.
struct Totals {
  std::uint64_t above = 0, equal = 0;

  template <class A>
  __device__ Totals(const Workspace<A>& work, unsigned thread_blocks, WarpTotals& totals) {
    for (unsigned b = threadIdx.x; b < thread_blocks; b += blockDim.x) {
      above += load_shared(work.totals + 2 * b);
      equal += load_shared(work.totals + 2 * b + 1);
    }
    above = block_sum(above, totals);
    equal = block_sum(equal, totals);
  }
};

/// After announce_totals and a grid barrier: where the selected of each tile go, how many of its
/// ties are taken (in tile_equal), and the block table. Of equal scores the lower positions win.
template <class A>
__device__ void place_tiles(const Shape<A>& shape, const Workspace<A>& work, const TileRange& range,
                            std::uint64_t ties, WarpTotals& totals) {
  Totals before(work, blockIdx.x, totals);
  for (std::uint64_t base = range.begin; base < range.end; base += blockDim.x) {
    const std::uint64_t t = base + threadIdx.x;
    const std::uint64_t above = t < range.end ? load_shared(work.tile_above + t) : 0;
    const std::uint64_t equal = t < range.end ? load_shared(work.tile_equal + t) : 0;
    std::uint64_t all_above = 0, all_equal = 0;
    const std::uint64_t above_before = before.above + exclusive_sum(above, totals, all_above);
    const std::uint64_t equal_before = before.equal + exclusive_sum(equal, totals, all_equal);
    if (t < range.end) {
      const std::uint64_t taken_before = equal_before < ties ? equal_before : ties;
      const std::uint64_t left = ties - taken_before;
      store(work.tile_out + t, above_before + taken_before);
      store(work.tile_equal + t, static_cast<std::uint32_t>(equal < left ? equal : left));
    }
    before.above += all_above;
    before.equal += all_equal;
  }
  __syncthreads();
  // A thread block without tiles begins inside the last block of the tensor, which is another's.
  if (range.begin == range.end) return;
  for (std::uint64_t b = range.begin / tiles_per_block + threadIdx.x; b < shape.blocks;
       b += blockDim.x) {
    const std::uint64_t first = b * tiles_per_block;
    if (first >= range.end) break;
    const std::uint64_t last =
        (first + tiles_per_block < work.tiles ? first + tiles_per_block : work.tiles) - 1;
    const std::uint64_t end = load_shared(work.tile_out + last) +
                              load_shared(work.tile_above + last) +
                              load_shared(work.tile_equal + last);
    store(work.picked_per_block + b,
          static_cast<std::uint32_t>(end - load_shared(work.tile_out + first)));
  }
}

/// All candidates return to the residual.
template <class A>
__device__ void give_back_candidates(const Workspace<A>& work, A* residual) {
  const std::uint64_t first = std::uint64_t{blockIdx.x} * warps() + warp();
  for (std::uint64_t t = first; t < work.tiles; t += std::uint64_t{gridDim.x} * warps()) {
    const std::uint64_t start = load(work.tile_start + t);
    const std::uint32_t count = load(work.tile_count + t);
    for (std::uint32_t i = lane(); i < count; i += warp_size) {
      store(residual + load(work.positions + start + i), load(work.values + start + i));
    }
  }
}

}  // namespace sparccl::cuda
