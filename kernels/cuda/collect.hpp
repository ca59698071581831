// The second way to the k largest, where the candidates of the pass are not proven to hold them:
// from the residual itself, a piece at a time.
#pragma once

#include "cuda/history.hpp"
#include "cuda/kth.hpp"
#include "cuda/lists.hpp"

namespace sparccl::cuda {

/// Entries that a thread block looks at together.
inline constexpr unsigned piece_size = 2048;
static_assert(tile_size % piece_size == 0 && piece_size % grid_threads == 0);

template <class A>
struct PieceShared {
  Bits<A> scores[piece_size];
  std::uint64_t first, last;  // of the history, in this piece
};

/// Scores of a piece's entries into shared memory; 0 behind the end of the tensor. By all threads.
template <class A>
__device__ void load_piece(const Shape<A>& shape, const History<A>& history, const A* residual,
                           std::uint64_t begin, PieceShared<A>& shared) {
  const std::uint64_t end = begin + piece_size < shape.count ? begin + piece_size : shape.count;
  for (unsigned i = threadIdx.x; i < piece_size; i += blockDim.x) {
    const std::uint64_t p = begin + i;
    shared.scores[i] = p < end ? magnitude_bits(load_shared(residual + p)) : 0;
  }
  if (history.damps && threadIdx.x == 0) {
    const std::uint64_t block = begin / block_size;
    const std::uint64_t from = load(history.starts + block);
    const std::uint64_t to = load(history.starts + block + 1);
    const std::uint64_t base = block * block_size;
    shared.first = lower_bound(history.offsets, from, to, static_cast<std::uint16_t>(begin - base));
    shared.last = end - base == block_size ? to
                                           : lower_bound(history.offsets, from, to,
                                                         static_cast<std::uint16_t>(end - base));
  }
  __syncthreads();
  if (!history.damps) return;
  for (std::uint64_t i = shared.first + threadIdx.x; i < shared.last; i += blockDim.x) {
    const std::uint64_t p = begin / block_size * block_size + load(history.offsets + i);
    shared.scores[p - begin] = history.damped(load_shared(residual + p), i);
  }
  __syncthreads();
}

/// visit(bits) for every entry of this thread block's tiles.
template <class A, class Visit>
__device__ void visit_tiles(const Shape<A>& shape, const History<A>& history, const A* residual,
                            const TileRange& range, PieceShared<A>& shared, Visit visit) {
  const std::uint64_t last =
      range.end * tile_size < shape.count ? range.end * tile_size : shape.count;
  for (std::uint64_t begin = range.begin * tile_size; begin < last; begin += piece_size) {
    load_piece(shape, history, residual, begin, shared);
    for (unsigned i = threadIdx.x; i < piece_size && begin + i < shape.count; i += blockDim.x) {
      visit(shared.scores[i]);
    }
    __syncthreads();
  }
}

/// Entries of each tile above the threshold and at it.
template <class A>
__device__ void count_tiles(const Shape<A>& shape, const Workspace<A>& work,
                            const History<A>& history, const A* residual, const TileRange& range,
                            Bits<A> threshold, PieceShared<A>& shared, WarpTotals& totals) {
  for (std::uint64_t t = range.begin; t < range.end; ++t) {
    std::uint64_t above = 0, equal = 0;
    const std::uint64_t end = (t + 1) * tile_size < shape.count ? (t + 1) * tile_size : shape.count;
    for (std::uint64_t begin = t * tile_size; begin < end; begin += piece_size) {
      load_piece(shape, history, residual, begin, shared);
      for (unsigned i = threadIdx.x; i < piece_size && begin + i < end; i += blockDim.x) {
        above += shared.scores[i] > threshold ? 1 : 0;
        equal += shared.scores[i] == threshold ? 1 : 0;
      }
      __syncthreads();
    }
    above = block_sum(above, totals);
    equal = block_sum(equal, totals);
    if (threadIdx.x == 0) {
      store(work.tile_above + t, static_cast<std::uint32_t>(above));
      store(work.tile_equal + t, static_cast<std::uint32_t>(equal));
    }
  }
  __syncthreads();
}

/// After place_tiles: the selected move from the residual to their list, in position order.
template <class A>
__device__ void collect_tiles(const Shape<A>& shape, const Workspace<A>& work,
                              const History<A>& history, A* residual, const TileRange& range,
                              Bits<A> threshold, PieceShared<A>& shared, WarpTotals& totals) {
  constexpr unsigned each = piece_size / grid_threads;  // adjacent entries of a thread
  for (std::uint64_t t = range.begin; t < range.end; ++t) {
    std::uint64_t out = load_shared(work.tile_out + t);
    std::uint64_t ties = load_shared(work.tile_equal + t);
    if (load_shared(work.tile_above + t) == 0 && ties == 0) continue;
    const std::uint64_t end = (t + 1) * tile_size < shape.count ? (t + 1) * tile_size : shape.count;
    for (std::uint64_t begin = t * tile_size; begin < end; begin += piece_size) {
      load_piece(shape, history, residual, begin, shared);
      std::uint64_t equal = 0, all_equal = 0, wins = 0, all_wins = 0;
      const unsigned first = threadIdx.x * each;
      const auto inside = [&](unsigned i) { return begin + first + i < end; };
      for (unsigned i = 0; i < each; ++i) {
        equal += inside(i) && shared.scores[first + i] == threshold ? 1 : 0;
      }
      const std::uint64_t equal_before = exclusive_sum(equal, totals, all_equal);
      const auto picks = [&](unsigned i, std::uint64_t& rank) {
        if (!inside(i)) return false;
        const Bits<A> bits = shared.scores[first + i];
        return bits > threshold || (bits == threshold && rank++ < ties);
      };
      std::uint64_t rank = equal_before;
      for (unsigned i = 0; i < each; ++i) wins += picks(i, rank) ? 1 : 0;
      std::uint64_t index = out + exclusive_sum(wins, totals, all_wins);
      rank = equal_before;
      for (unsigned i = 0; i < each; ++i) {
        if (!picks(i, rank)) continue;
        const std::uint64_t p = begin + first + i;
        store(work.picked_positions + index, p);
        store(work.picked_values + index, load_shared(residual + p));
        store(residual + p, A(0));
        ++index;
      }
      out += all_wins;
      ties -= all_equal < ties ? all_equal : ties;
      __syncthreads();  // the piece's scores are about to be replaced
    }
  }
}

}  // namespace sparccl::cuda
