// The sums of one tile of the result, in rank order: a rank sends a position at most once, so that
// its entries can be added without atomics, and a barrier stands between two ranks.
#pragma once

#include "cuda/arguments.hpp"
#include "cuda/block.hpp"

namespace sparccl::cuda {

inline constexpr unsigned merge_threads = 256;
inline constexpr unsigned ranks_at_once = 4;  // whose first entries are under way together

/// Entries [begin, end) of a rank's packet that lie in a tile.
struct TileEntries {
  std::uint64_t begin, end;
};

template <class Wire, class A>
struct MergeArguments {
  Shape<A> shape;
  Workspace<A> work;
  Packets packets;
  std::uint32_t* sent_per_block;
  std::uint16_t* sent_offsets;
  A* sent_ratios;
  A divisor;

  [[nodiscard]] __device__ unsigned world_size() const {
    return static_cast<unsigned>(shape.world_size);
  }
  [[nodiscard]] __device__ TileEntries entries_of(std::uint64_t rank, std::uint64_t tile) const {
    const std::uint64_t* const starts = work.starts + rank * (work.merge_tiles + 1) + tile;
    return {load(starts), load(starts + 1)};
  }
};

/// sums[tile_entries] of the tile, which must be zero. touch(index in tile): for each entry of each
/// rank. in: has packets, world_size() and entries_of() as above.
template <class Wire, std::size_t tile_entries, class In, class A, class Touch>
__device__ void sum_tile(const In& in, std::uint64_t tile, A* sums, Touch touch) {
  constexpr unsigned mask = tile_entries - 1;
  const unsigned world = in.world_size();
  for (unsigned base = 0; base < world; base += ranks_at_once) {
    std::uint64_t next[ranks_at_once], end[ranks_at_once];
    unsigned index[ranks_at_once];
    A value[ranks_at_once];
#pragma unroll
    for (unsigned j = 0; j < ranks_at_once; ++j) {
      next[j] = end[j] = 0;
      if (base + j >= world) continue;
      const TileEntries entries = in.entries_of(base + j, tile);
      next[j] = entries.begin + threadIdx.x;
      end[j] = entries.end;
    }
    const auto read = [&](unsigned rank, std::uint64_t i, unsigned& at, A& v) {
      at = load(in.packets.of(in.packets.first.offsets, rank) + i) & mask;
      const auto* values = static_cast<const Wire*>(in.packets.of(in.packets.first.values, rank));
      v = static_cast<A>(Convert<Wire>::up(load(values + i)));
    };
#pragma unroll
    for (unsigned j = 0; j < ranks_at_once; ++j) {
      index[j] = 0;
      value[j] = A(0);
      if (next[j] < end[j]) read(base + j, next[j], index[j], value[j]);
    }
#pragma unroll
    for (unsigned j = 0; j < ranks_at_once; ++j) {
      if (base + j >= world) break;
      for (std::uint64_t i = next[j]; i < end[j]; i += blockDim.x) {
        if (i != next[j]) read(base + j, i, index[j], value[j]);
        sums[index[j]] += value[j];
        touch(index[j]);
      }
      __syncthreads();
    }
  }
}

/// The history of what this rank sent in the tile, from its finished sums.
template <class Wire, class A>
__device__ void remember_tile(const MergeArguments<Wire, A>& in, std::uint64_t tile,
                              const A* sums) {
  constexpr unsigned mask = merge_tile_size<A> - 1;
  constexpr std::uint64_t parts = block_size / merge_tile_size<A>;
  const auto rank = static_cast<std::size_t>(in.shape.rank);
  const std::uint16_t* const offsets = in.packets.of(in.packets.first.offsets, rank);
  const auto* values = static_cast<const Wire*>(in.packets.of(in.packets.first.values, rank));
  const TileEntries own = in.entries_of(rank, tile);
  for (std::uint64_t i = own.begin + threadIdx.x; i < own.end; i += blockDim.x) {
    const std::uint16_t offset = load(offsets + i);
    const A sent = static_cast<A>(Convert<Wire>::up(load(values + i)));
    store(in.sent_offsets + i, offset);
    store(in.sent_ratios + i, remember(in.shape.distortion, sent, sums[offset & mask]));
  }
  if (threadIdx.x == 0 && tile % parts == 0) {
    const std::uint64_t block = tile / parts;
    store(in.sent_per_block + block, load(in.packets.of(in.packets.first.per_block, rank) + block));
  }
}

/// A sum as it leaves. No division where there is nothing to divide.
template <class T, class A>
__device__ T result_of(A sum, A divisor) {
  return Convert<T>::from(divisor == A(1) || sum == A(0) ? sum : sum / divisor);
}

template <class Wire, class A>
[[nodiscard]] MergeArguments<Wire, A> merge_arguments(const Plan& plan, const Memory& memory,
                                                      void* workspace,
                                                      std::span<const Packet> packets,
                                                      const Output& output) {
  return {Shape<A>(plan),
          Workspace<A>(plan, workspace),
          Packets(packets),
          memory.sent_per_block,
          memory.sent_offsets,
          static_cast<A*>(memory.sent_ratios),
          static_cast<A>(plan.divisor(output.reduction))};
}

}  // namespace sparccl::cuda
