// What all ranks sent to this rank's range: checked, summed in rank order, and the largest sums on
// their way.
#include "cuda/arguments.hpp"
#include "cuda/kth.hpp"
#include "cuda/launch.hpp"
#include "cuda/lists.hpp"
#include "cuda/packet_check.hpp"
#include "cuda/split.hpp"
#include "cuda/tile_sums.hpp"

namespace sparccl::cuda {
namespace {

template <class A>
struct ReduceArguments {
  Workspace<A> work;
  SplitScratch<A> scratch;
  PacketCheck incoming;
  Packet outgoing;
  const std::uint64_t* bounds;  // of this rank's range: [2]
  const std::uint64_t* call;
  int ranks;
  std::uint64_t most_wanted;
  std::uint64_t capacity;  // entries of the outgoing packet
  std::uint64_t blocks;    // of the outgoing packet
};

template <class A>
struct TileSums {
  A sums[tile_size];
  std::uint32_t touched[tile_size / 32];  // a bit an entry that any rank sent
};

template <class A>
struct ReduceShared {
  union {
    CheckShared check;
    KthShared kth;
    TileSums<A> tile;
  };
  WarpTotals totals;
};

template <class A>
__device__ void check_tables(const ReduceArguments<A>& in, std::uint64_t count,
                             CheckShared& shared) {
  const Packet& packet = in.incoming.packets.first;
  for (int rank = static_cast<int>(blockIdx.x); rank < in.ranks;
       rank += static_cast<int>(gridDim.x)) {
    Problem problem = Problem::header;
    if (is_of_this_call(in.incoming, rank, shared)) {
      problem = check_table<tile_size>(in.incoming, rank, count, shared);
    }
    if (threadIdx.x != 0) continue;
    store(in.scratch.bad + rank, problem != Problem::none ? 1u : 0u);
    if (problem == Problem::none && load(in.incoming.of(packet.wanted, rank)) > in.most_wanted) {
      problem = Problem::entries;
    }
    if (problem != Problem::none) {
      blame(in.work.header, rank, problem);
    } else if (load(in.incoming.of(packet.flags, rank)) != 0) {
      atomic_min(&in.work.header->first_non_finite, static_cast<std::uint64_t>(rank));
    }
  }
}

template <class Wire, class A>
__device__ void check_blocks(const ReduceArguments<A>& in, std::uint64_t count) {
  const std::uint64_t blocks = (count + block_size - 1) / block_size;
  const std::uint64_t pieces = static_cast<std::uint64_t>(in.ranks) * blocks;
  const std::uint64_t first = std::uint64_t{blockIdx.x} * warps() + warp();
  for (std::uint64_t i = first; i < pieces; i += std::uint64_t{gridDim.x} * warps()) {
    const int rank = static_cast<int>(i / blocks);
    if (load_shared(in.scratch.bad + rank) != 0) continue;  // the same for the whole warp
    const Problem problem = check_block<Wire, tile_size>(in.incoming, rank, count, i % blocks);
    if (problem != Problem::none) blame(in.work.header, rank, problem);
  }
}

/// Instead of sums: why there are none.
template <class A>
__device__ void write_refusal(const ReduceArguments<A>& in, std::uint32_t flags,
                              std::uint32_t blamed) {
  const GridStride grid;
  for (std::uint64_t b = grid.first; b < in.blocks; b += grid.step) {
    store(in.outgoing.per_block + b, 0u);
  }
  if (grid.first != 0) return;
  store(in.outgoing.call, load(in.call));
  store(in.outgoing.flags, flags);
  store(in.outgoing.blame, blamed);
  store(in.outgoing.entries, std::uint64_t{0});
  store(in.outgoing.wanted, std::uint64_t{0});
}

/// As sum_tile() takes them. Where tiles begin was found in this launch, by other blocks.
template <class A>
struct IncomingTiles {
  const ReduceArguments<A>& in;
  const Packets& packets;

  [[nodiscard]] __device__ unsigned world_size() const { return static_cast<unsigned>(in.ranks); }
  [[nodiscard]] __device__ TileEntries entries_of(std::uint64_t rank, std::uint64_t tile) const {
    const std::uint64_t* const starts = in.incoming.starts + rank * in.incoming.stride + tile;
    return {load_shared(starts), load_shared(starts + 1)};
  }
};

/// By one block: the sums of one tile, to its place in the list.
template <class Wire, class A>
__device__ void list_sums(const ReduceArguments<A>& in, std::uint64_t tile,
                          ReduceShared<A>& shared) {
  const IncomingTiles<A> tiles{in, in.incoming.packets};
  constexpr unsigned each = tile_size / grid_threads;  // adjacent entries of a thread
  static_assert(32 % each == 0);
  for (unsigned i = threadIdx.x; i < tile_size; i += blockDim.x) shared.tile.sums[i] = A(0);
  for (unsigned i = threadIdx.x; i < tile_size / 32; i += blockDim.x) shared.tile.touched[i] = 0;
  std::uint64_t base = 0;
  for (unsigned r = threadIdx.x; r < tiles.world_size(); r += blockDim.x) {
    base += tiles.entries_of(r, tile).begin;
  }
  base = block_sum(base, shared.totals);
  sum_tile<Wire, tile_size>(tiles, tile, shared.tile.sums, [&](unsigned i) {
    atomic_or(&shared.tile.touched[i / 32], 1u << i % 32);
  });
  const unsigned first = threadIdx.x * each;
  const std::uint32_t mine = shared.tile.touched[first / 32] >> first % 32 & ((1u << each) - 1);
  std::uint64_t total = 0;
  std::uint64_t to = base + exclusive_sum(popcount(mine), shared.totals, total);
  for (std::uint32_t bits = mine; bits != 0; bits &= bits - 1, ++to) {
    const unsigned i = first + lowest_bit(bits);
    const A sum = shared.tile.sums[i];
    store(in.scratch.offsets + to,
          static_cast<std::uint16_t>(tile % tiles_per_block * tile_size + i));
    store(in.scratch.sums + to, sum);
    store(in.scratch.scores + to, magnitude_bits(sum));
  }
  if (threadIdx.x == 0) {
    store(in.scratch.tile_start + tile, base);
    store(in.scratch.tile_count + tile, static_cast<std::uint32_t>(total));
  }
  __syncthreads();
}

/// The largest of the sums that this thread block and the others have listed, to the packet.
template <class A>
__device__ void send_best(const ReduceArguments<A>& in, std::uint64_t tiles, const TileRange& range,
                          ReduceShared<A>& shared) {
  const SplitScratch<A>& scratch = in.scratch;
  Header* const header = in.work.header;
  const TileLists<Bits<A>> lists{scratch.tile_start, scratch.tile_count, scratch.scores,
                                 scratch.tile_above, scratch.tile_equal, scratch.tile_out,
                                 in.work.totals};
  const auto items = [&](auto visit) {
    for (std::uint64_t t = range.begin + warp(); t < range.end; t += warps()) {
      const std::uint64_t start = load(lists.start + t);
      const std::uint32_t count = load(lists.count + t);
      for (std::uint32_t i = lane(); i < count; i += warp_size)
        visit(load(lists.scores + start + i));
    }
  };
  constexpr int digit = std::bit_width(bins) - 1;
  constexpr int width = sizeof(A) * 8 - 1;  // without the sign
  std::uint32_t round = 0;
  const auto kth = kth_largest<Bits<A>>(items, in.capacity, Bits<A>{0}, width - digit, round,
                                        in.work.counts, &header->arrived, shared.kth);
  // Fewer than there is room for: all, and what is 0 is at the threshold.
  const Bits<A> threshold = kth.found ? kth.bits : 0;
  const std::uint64_t ties = kth.found ? kth.ties : ~std::uint64_t{0};
  count_scores(lists, range, threshold);
  announce_totals(lists, range, shared.totals);
  grid_barrier(&header->arrived);
  const Totals all(lists, gridDim.x, shared.totals);
  const std::uint64_t sent = all.above + (all.equal < ties ? all.equal : ties);
  place_tiles(lists, range, ties, shared.totals);
  split_tiles(
      lists, range, threshold,
      [&](std::uint64_t to, std::uint64_t i) {
        store(in.outgoing.offsets + to, load(scratch.offsets + i));
        store(static_cast<A*>(in.outgoing.values) + to, load(scratch.sums + i));
      },
      [](std::uint64_t) {});
  grid_barrier(&header->arrived);
  const GridStride grid;
  const auto begin_of = [&](std::uint64_t block) {
    const std::uint64_t tile = block * tiles_per_block;
    return tile < tiles ? load_shared(lists.out + tile) : sent;
  };
  for (std::uint64_t b = grid.first; b < in.blocks; b += grid.step) {
    store(in.outgoing.per_block + b, static_cast<std::uint32_t>(begin_of(b + 1) - begin_of(b)));
  }
  if (grid.first == 0) store(in.outgoing.entries, sent);
}

template <class Wire, class A>
__global__ void __launch_bounds__(grid_threads) reduce_kernel(ReduceArguments<A> in) {
  auto& shared = shared_memory<ReduceShared<A>>();
  Header* const header = in.work.header;
  if (load(&header->refused) != 0) return;
  const std::uint64_t count = load(in.bounds + 1) - load(in.bounds);
  if (blockIdx.x == 0) {  // of the first digit; the others follow by themselves
    for (unsigned i = threadIdx.x; i < bins; i += blockDim.x) {
      store(in.work.counts + i, std::uint64_t{0});
    }
  }
  check_tables(in, count, shared.check);
  grid_barrier(&header->arrived);
  check_blocks<Wire>(in, count);
  grid_barrier(&header->arrived);
  constexpr std::uint64_t none = ~std::uint64_t{0};
  const std::uint64_t worst = load_shared(&header->worst);
  const std::uint64_t non_finite = load_shared(&header->first_non_finite);
  grid_barrier(&header->arrived);
  const bool first = blockIdx.x == 0 && threadIdx.x == 0;
  if (first) {
    store(&header->worst, none);
    store(&header->first_non_finite, none);
  }
  if (worst != none) {
    return write_refusal(in, packet_bad,
                         blame_of(static_cast<std::int32_t>(worst >> 32),
                                  static_cast<Problem>(worst & 0xffffffffu)));
  }
  if (non_finite != none) {
    return write_refusal(in, packet_non_finite,
                         blame_of(static_cast<std::int32_t>(non_finite), Problem::none));
  }

  const std::uint64_t tiles = (count + tile_size - 1) / tile_size;
  const TileRange range(tiles, 1);
  for (std::uint64_t tile = range.begin; tile < range.end; ++tile) {
    list_sums<Wire>(in, tile, shared);
  }
  send_best(in, tiles, range, shared);
  if (blockIdx.x != 0) return;
  std::uint64_t wanted = 0;
  for (int r = static_cast<int>(threadIdx.x); r < in.ranks; r += static_cast<int>(blockDim.x)) {
    wanted += load(in.incoming.of(in.incoming.packets.first.wanted, r));
  }
  wanted = block_sum(wanted, shared.totals);
  if (!first) return;
  store(in.outgoing.call, load(in.call));
  store(in.outgoing.flags, 0u);
  store(in.outgoing.blame, 0u);
  store(in.outgoing.wanted, wanted);
}

}  // namespace

void reduce(const SplitPlan& split, const Step& step, const Memory& memory, void* workspace,
            void* scratch, std::span<const Packet> incoming, const Packet& outgoing,
            std::size_t limit) {
  const Plan& sent = split.sent;
  visit_accumulator(sent.accumulator(), [&]<class A>(Tag<A>) {
    visit_floating(sent.wire, [&]<class Wire>(Tag<Wire>) {
      if constexpr (sizeof(Wire) <= sizeof(A)) {
        const Workspace<A> work(split.whole, workspace);
        const SplitScratch<A> parts(split, scratch);
        launch_cooperative<ReduceShared<A>>(
            {"reduce", stream_of(step), blocks_for(std::max(parts.tiles, incoming.size()), limit),
             grid_threads},
            reduce_kernel<Wire, A>,
            {work,
             parts,
             {Packets(incoming), sent.rank, sent.k, sent.exact, sent.finite, parts.starts,
              parts.tiles + 1},
             outgoing,
             memory.bounds + sent.rank,
             memory.call,
             sent.world_size,
             split.whole.k,
             split.reduced.k,
             split.reduced.blocks()});
      }
    });
  });
}

std::size_t reduce_blocks(DataType type, DataType wire) {
  const DataType accumulator = type == DataType::float64 ? type : DataType::float32;
  return visit_accumulator(accumulator, [&]<class A>(Tag<A>) {
    return visit_floating(wire, []<class Wire>(Tag<Wire>) -> std::size_t {
      if constexpr (sizeof(Wire) <= sizeof(A)) {
        return cooperative_blocks<ReduceShared<A>>(reduce_kernel<Wire, A>, grid_threads);
      } else {
        return 1;
      }
    });
  });
}

}  // namespace sparccl::cuda
