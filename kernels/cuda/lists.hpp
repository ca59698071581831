// Lists in pieces, one for each tile: the k largest of them all, to their places in position order,
// and candidates back to the residual. Each thread block works on a range of adjacent tiles, so
// that ranges in order are tiles in order.
#pragma once

#include "cuda/block.hpp"
#include "cuda/workspace.hpp"

namespace sparccl::cuda {

/// Tiles [begin, end) of this thread block. unit: those that stay together.
struct TileRange {
  std::uint64_t begin, end;

  __device__ TileRange(std::uint64_t tiles, std::uint64_t unit) {
    const std::uint64_t units = (tiles + unit - 1) / unit;
    const std::uint64_t each = (units + gridDim.x - 1) / gridDim.x * unit;
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

/// Tiles [tiles] of scores, and where the selected of them go.
template <class B>
struct TileLists {
  std::uint64_t* start;  // where a tile's scores begin
  std::uint32_t* count;
  const B* scores;
  std::uint32_t* above;   // of its scores, above the threshold
  std::uint32_t* equal;   // at it; then: how many of those are taken
  std::uint64_t* out;     // where its selected begin
  std::uint64_t* totals;  // [2 * grid] of each thread block, above and equal

  [[nodiscard]] __device__ std::uint64_t end_of(std::uint64_t tile) const {
    return load_shared(out + tile) + load_shared(above + tile) + load_shared(equal + tile);
  }
};

template <class A>
__device__ TileLists<Bits<A>> lists_of(const Workspace<A>& work) {
  return {work.tile_start, work.tile_count, work.scores, work.tile_above,
          work.tile_equal, work.tile_out,   work.totals};
}

/// A warp takes a tile: how many of its scores are above the threshold and at it.
template <class B>
__device__ void count_scores(const TileLists<B>& lists, const TileRange& range, B threshold) {
  for (std::uint64_t t = range.begin + warp(); t < range.end; t += warps()) {
    const std::uint64_t start = load(lists.start + t);
    const std::uint32_t count = load(lists.count + t);
    std::uint32_t above = 0, equal = 0;
    for (std::uint32_t i = lane(); i - lane() < count; i += warp_size) {
      const B bits = i < count ? load_shared(lists.scores + start + i) : 0;
      above += popcount(ballot(i < count && bits > threshold));
      equal += popcount(ballot(i < count && bits == threshold));
    }
    if (lane() == 0) {
      store(lists.above + t, above);
      store(lists.equal + t, equal);
    }
  }
  __syncthreads();
}

/// Totals of this thread block: known to all others behind the next grid barrier.
template <class B>
__device__ void announce_totals(const TileLists<B>& lists, const TileRange& range,
                                WarpTotals& totals) {
  std::uint64_t above = 0, equal = 0;
  for (std::uint64_t t = range.begin + threadIdx.x; t < range.end; t += blockDim.x) {
    above += load_shared(lists.above + t);
    equal += load_shared(lists.equal + t);
  }
  above = block_sum(above, totals);
  equal = block_sum(equal, totals);
  if (threadIdx.x == 0) {
    store(lists.totals + 2 * blockIdx.x, above);
    store(lists.totals + 2 * blockIdx.x + 1, equal);
  }
}

/// Sums of the totals of the thread blocks before this one, or of all.
struct Totals {
  std::uint64_t above = 0, equal = 0;

  template <class B>
  __device__ Totals(const TileLists<B>& lists, unsigned thread_blocks, WarpTotals& totals) {
    for (unsigned b = threadIdx.x; b < thread_blocks; b += blockDim.x) {
      above += load_shared(lists.totals + 2 * b);
      equal += load_shared(lists.totals + 2 * b + 1);
    }
    above = block_sum(above, totals);
    equal = block_sum(equal, totals);
  }
};

/// After announce_totals and a grid barrier: where the selected of each tile go, and how many of
/// its ties are taken (in lists.equal). Of equal scores the lower positions win.
template <class B>
__device__ void place_tiles(const TileLists<B>& lists, const TileRange& range, std::uint64_t ties,
                            WarpTotals& totals) {
  Totals before(lists, blockIdx.x, totals);
  for (std::uint64_t base = range.begin; base < range.end; base += blockDim.x) {
    const std::uint64_t t = base + threadIdx.x;
    const std::uint64_t above = t < range.end ? load_shared(lists.above + t) : 0;
    const std::uint64_t equal = t < range.end ? load_shared(lists.equal + t) : 0;
    std::uint64_t all_above = 0, all_equal = 0;
    const std::uint64_t above_before = before.above + exclusive_sum(above, totals, all_above);
    const std::uint64_t equal_before = before.equal + exclusive_sum(equal, totals, all_equal);
    if (t < range.end) {
      const std::uint64_t taken_before = equal_before < ties ? equal_before : ties;
      const std::uint64_t left = ties - taken_before;
      store(lists.out + t, above_before + taken_before);
      store(lists.equal + t, static_cast<std::uint32_t>(equal < left ? equal : left));
    }
    before.above += all_above;
    before.equal += all_equal;
  }
  __syncthreads();
}

/// After place_tiles: wins(where it goes, index) or loses(index) for each of the scores, by a warp
/// a tile.
template <class B, class Wins, class Loses>
__device__ void split_tiles(const TileLists<B>& lists, const TileRange& range, B threshold,
                            Wins wins, Loses loses) {
  const std::uint32_t below = (1u << lane()) - 1;
  for (std::uint64_t t = range.begin + warp(); t < range.end; t += warps()) {
    const std::uint64_t start = load(lists.start + t);
    const std::uint32_t count = load(lists.count + t);
    const std::uint32_t ties = load_shared(lists.equal + t);
    std::uint64_t out = load_shared(lists.out + t);
    std::uint32_t seen = 0;
    for (std::uint32_t i = lane(); i - lane() < count; i += warp_size) {
      const bool there = i < count;
      const B bits = there ? load_shared(lists.scores + start + i) : 0;
      const std::uint32_t equal = ballot(there && bits == threshold);
      const bool taken = there && (bits > threshold ||
                                   (bits == threshold && seen + popcount(equal & below) < ties));
      seen += popcount(equal);
      const std::uint32_t winners = ballot(taken);
      if (taken) {
        wins(out + popcount(winners & below), start + i);
      } else if (there) {
        loses(start + i);
      }
      out += popcount(winners);
    }
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
