// Exactly the k largest: among the candidates if they are proven to hold them, else out of the
// whole residual. One launch whose blocks meet, so that the device decides.
#include "cuda/arguments.hpp"
#include "cuda/collect.hpp"
#include "cuda/launch.hpp"

namespace sparccl::cuda {
namespace {

template <class A>
struct SelectArguments {
  Shape<A> shape;
  Workspace<A> work;
  History<A> history;
  A* residual;
};

template <class A>
struct SelectShared {
  KthShared kth;
  PieceShared<A> piece;
};

constexpr int digit = std::bit_width(bins) - 1;

/// Among the candidates, damped now. What was left out scores no more than the bound, so a k-th
/// largest above it is proven.
template <class A>
__device__ Kth<Bits<A>> kth_candidate(const SelectArguments<A>& in, Bits<A> bound,
                                      std::uint64_t candidates, std::uint32_t& round,
                                      KthShared& shared) {
  const std::uint64_t first = std::uint64_t{blockIdx.x} * blockDim.x + threadIdx.x;
  const std::uint64_t stride = std::uint64_t{gridDim.x} * blockDim.x;
  for (std::uint64_t i = first; i < candidates; i += stride) {
    store(in.work.scores + i,
          in.history.score(load(in.work.positions + i), load(in.work.values + i)));
  }
  // Each thread looks again at what it has written itself.
  const auto items = [&](auto visit) {
    for (std::uint64_t i = first; i < candidates; i += stride) visit(load(in.work.scores + i));
  };
  constexpr int mantissa = std::numeric_limits<A>::digits - 1;
  return kth_largest<Bits<A>>(items, in.shape.k, bound + 1, mantissa + 1 - digit, round,
                              in.work.counts, &in.work.header->arrived, shared);
}

/// After place_tiles: the block table of the selected, of whole blocks of the tensor.
template <class A>
__device__ void tabulate(const SelectArguments<A>& in, const TileRange& range) {
  // A thread block without tiles begins inside the last block of the tensor, which is another's.
  if (range.begin == range.end) return;
  const auto lists = lists_of(in.work);
  for (std::uint64_t b = range.begin / tiles_per_block + threadIdx.x; b < in.shape.blocks;
       b += blockDim.x) {
    const std::uint64_t first = b * tiles_per_block;
    if (first >= range.end) break;
    const std::uint64_t next =
        first + tiles_per_block < in.work.tiles ? first + tiles_per_block : in.work.tiles;
    store(in.work.picked_per_block + b,
          static_cast<std::uint32_t>(lists.end_of(next - 1) - load_shared(lists.out + first)));
  }
}

/// After place_tiles: winners to their list, in order, losers back to the residual.
template <class A>
__device__ void split_candidates(const Workspace<A>& work, const TileRange& range, A* residual,
                                 Bits<A> threshold) {
  split_tiles(
      lists_of(work), range, threshold,
      [&](std::uint64_t to, std::uint64_t i) {
        store(work.picked_positions + to, load(work.positions + i));
        store(work.picked_values + to, load(work.values + i));
      },
      [&](std::uint64_t i) { store(residual + load(work.positions + i), load(work.values + i)); });
}

/// Whether a threshold of `bits` splits off k entries, counted over the whole residual; how many of
/// those at it are then taken.
template <class A>
__device__ bool settles(const SelectArguments<A>& in, const TileRange& range, Bits<A> bits,
                        std::uint64_t& ties, SelectShared<A>& shared) {
  count_tiles(in.shape, in.work, in.history, in.residual, range, bits, shared.piece,
              shared.kth.totals);
  announce_totals(lists_of(in.work), range, shared.kth.totals);
  grid_barrier(&in.work.header->arrived);
  const Totals all(lists_of(in.work), gridDim.x, shared.kth.totals);
  if (all.above >= in.shape.k || all.above + all.equal < in.shape.k) return false;
  ties = in.shape.k - all.above;
  return true;
}

/// Out of the residual. Often the bound itself is the k-th largest: masses of equal scores, zeros.
template <class A>
__device__ void select_from_residual(const SelectArguments<A>& in, const TileRange& range,
                                     Bits<A> bound, bool overflow, std::uint32_t round,
                                     SelectShared<A>& shared) {
  Header* const header = in.work.header;
  give_back_candidates(in.work, in.residual);
  grid_barrier(&header->arrived);
  Bits<A> threshold = bound;
  std::uint64_t ties = 0;
  if (overflow || !settles(in, range, threshold, ties, shared)) {
    const auto items = [&](auto visit) {
      visit_tiles(in.shape, in.history, in.residual, range, shared.piece, visit);
    };
    constexpr int width = sizeof(A) * 8 - 1;
    const auto found = kth_largest<Bits<A>>(items, in.shape.k, Bits<A>{0}, width - digit, round,
                                            in.work.counts, &header->arrived, shared.kth);
    threshold = found.bits;
    settles(in, range, threshold, ties, shared);
  }
  place_tiles(lists_of(in.work), range, ties, shared.kth.totals);
  tabulate(in, range);
  collect_tiles(in.shape, in.work, in.history, in.residual, range, threshold, shared.piece,
                shared.kth.totals);
  if (blockIdx.x == 0 && threadIdx.x == 0) store(&header->fallbacks, std::uint64_t{1});
}

template <class A>
__global__ void __launch_bounds__(grid_threads) select_kernel(SelectArguments<A> in) {
  auto& shared = shared_memory<SelectShared<A>>();
  Header* const header = in.work.header;
  if (load(&header->refused) != 0 || load(&header->non_finite) != 0) return;
  const auto bound = static_cast<Bits<A>>(load(&header->bound));
  const std::uint64_t candidates = load(&header->candidates);
  std::uint32_t round = load(&header->round);
  const bool overflow = candidates > in.work.capacity;
  const TileRange range(in.work.tiles, tiles_per_block);

  Kth<Bits<A>> kth;
  if (!overflow) kth = kth_candidate(in, bound, candidates, round, shared.kth);
  if (kth.found) {
    count_scores(lists_of(in.work), range, kth.bits);
    announce_totals(lists_of(in.work), range, shared.kth.totals);
    grid_barrier(&header->arrived);
    place_tiles(lists_of(in.work), range, kth.ties, shared.kth.totals);
    tabulate(in, range);
    split_candidates(in.work, range, in.residual, kth.bits);
  } else {
    select_from_residual(in, range, bound, overflow, round, shared);
  }
  if (blockIdx.x != 0 || threadIdx.x != 0) return;
  store(&header->picked, in.shape.k);
  store(&header->passed, kth.found ? candidates : in.shape.count);
  store(&header->stage, Stage::selected);
}

}  // namespace

void select(const Plan& plan, const Step& step, const Memory& memory, void* workspace,
            std::size_t limit) {
  visit_accumulator(plan.accumulator(), [&]<class A>(Tag<A>) {
    const Shape<A> shape(plan);
    const Workspace<A> work(plan, workspace);
    launch_cooperative<SelectShared<A>>(
        {"select", stream_of(step), blocks_for(plan.blocks(), limit), grid_threads},
        select_kernel<A>,
        {shape, work, History<A>(shape, memory, work), static_cast<A*>(memory.residual)});
  });
}

std::size_t select_blocks(DataType type) {
  const DataType accumulator = type == DataType::float64 ? type : DataType::float32;
  return visit_accumulator(accumulator, []<class A>(Tag<A>) {
    return cooperative_blocks<SelectShared<A>>(select_kernel<A>, grid_threads);
  });
}

}  // namespace sparccl::cuda
