// The reduced ranges of all ranks: result, history, and where the ranges begin from here on.
#include <limits>

#include "balance.hpp"
#include "cuda/arguments.hpp"
#include "cuda/fill.hpp"
#include "cuda/launch.hpp"
#include "cuda/split.hpp"
#include "cuda/tile_sums.hpp"

namespace sparccl::cuda {
namespace {

template <class T, class A>
struct JoinArguments {
  Shape<A> shape;
  Workspace<A> work;
  SplitScratch<A> scratch;
  Packet own;
  Packets reduced;
  Memory memory;
  T* dense;  // or null, and then:
  std::uint64_t* positions;
  T* values;
  A divisor;
  bool balances;
  std::uint64_t longest;  // range

  [[nodiscard]] __device__ std::uint64_t ranks() const {
    return static_cast<std::uint64_t>(shape.world_size);
  }
};

struct JoinShared {
  WarpTotals totals;
};

/// Words of global memory as balance() takes them.
struct Words {
  std::uint64_t* at;

  struct Word {
    std::uint64_t* at;
    __device__ operator std::uint64_t() const { return load(at); }
    __device__ Word& operator=(std::uint64_t value) {
      store(at, value);
      return *this;
    }
    __device__ Word& operator=(const Word& other) { return *this = load(other.at); }
  };
  __device__ Word operator[](std::uint64_t i) const { return {at + i}; }
};

/// Entries of this rank that this thread block looks after.
struct Piece {
  std::uint64_t begin, end;

  __device__ explicit Piece(std::uint64_t entries) {
    const std::uint64_t each = (entries + gridDim.x - 1) / gridDim.x;
    begin = each * blockIdx.x < entries ? each * blockIdx.x : entries;
    end = begin + each < entries ? begin + each : entries;
  }
};

/// Which entries of this rank were reduced; the others return. Returns how many, of this thread.
template <class Wire, class T, class A>
__device__ std::uint64_t look_up(const JoinArguments<T, A>& in, const Piece& piece) {
  const SplitScratch<A>& scratch = in.scratch;
  std::uint64_t found = 0;
  for (std::uint64_t i = piece.begin + threadIdx.x; i < piece.end; i += blockDim.x) {
    const std::uint64_t position = load(scratch.positions + i);
    const A value =
        static_cast<A>(Convert<Wire>::up(load(static_cast<const Wire*>(in.own.values) + i)));
    const std::uint64_t r = range_of(in.memory.bounds, in.ranks(), position);
    const std::uint64_t within = position - load(in.memory.bounds + r);
    const std::uint64_t* const starts =
        scratch.reduced_starts + r * (scratch.reduced_blocks + 1) + within / block_size;
    const std::uint16_t* const offsets = in.reduced.of(in.reduced.first.offsets, r);
    const auto offset = static_cast<std::uint16_t>(within % block_size);
    const std::uint64_t last = load(starts + 1);
    const std::uint64_t at = lower_bound(offsets, load(starts), last, offset);
    const bool is = at < last && load(offsets + at) == offset;
    store(scratch.found + i, static_cast<std::uint8_t>(is ? 1 : 0));
    if (is) {
      const A sum = load(static_cast<const A*>(in.reduced.of(in.reduced.first.values, r)) + at);
      store(scratch.ratios + i, remember(in.shape.distortion, value, sum));
      ++found;
    } else {
      A* const residual = static_cast<A*>(in.memory.residual) + position;
      store(residual, load(residual) + value);
    }
  }
  return found;
}

/// By one block: where the entries of each range go in a sparse output.
template <class T, class A>
__device__ void place_ranges(const JoinArguments<T, A>& in, WarpTotals& totals) {
  std::uint64_t begin = 0;
  for (std::uint64_t base = 0; base < in.ranks(); base += blockDim.x) {
    const std::uint64_t r = base + threadIdx.x;
    const std::uint64_t entries =
        r < in.ranks() ? load(in.reduced.of(in.reduced.first.entries, r)) : 0;
    std::uint64_t total = 0;
    const std::uint64_t before = begin + exclusive_sum(entries, totals, total);
    if (r < in.ranks()) store(in.scratch.segments + r, before);
    begin += total;
  }
  if (threadIdx.x != 0) return;
  store(&in.memory.report->written, in.dense != nullptr ? std::uint64_t{0} : begin);
}

/// The sums, by a warp for each block of a range.
template <class T, class A>
__device__ void write_sums(const JoinArguments<T, A>& in) {
  const std::uint64_t pieces = in.ranks() * in.scratch.reduced_blocks;
  const std::uint64_t first = std::uint64_t{blockIdx.x} * warps() + warp();
  for (std::uint64_t piece = first; piece < pieces; piece += std::uint64_t{gridDim.x} * warps()) {
    const std::uint64_t r = piece / in.scratch.reduced_blocks;
    const std::uint64_t block = piece % in.scratch.reduced_blocks;
    const std::uint64_t begin = load(in.memory.bounds + r) + block * block_size;
    if (begin >= load(in.memory.bounds + r + 1)) continue;
    const std::uint64_t* const starts =
        in.scratch.reduced_starts + r * (in.scratch.reduced_blocks + 1) + block;
    const std::uint16_t* const offsets = in.reduced.of(in.reduced.first.offsets, r);
    const auto* sums = static_cast<const A*>(in.reduced.of(in.reduced.first.values, r));
    const std::uint64_t out = load_shared(in.scratch.segments + r);
    const std::uint64_t last = load(starts + 1);
    for (std::uint64_t i = load(starts) + lane(); i < last; i += warp_size) {
      const std::uint64_t position = begin + load(offsets + i);
      const T value = result_of<T>(load(sums + i), in.divisor);
      if (in.dense != nullptr) {
        store(in.dense + position, value);
      } else {
        store(in.positions + out + i, position);
        store(in.values + out + i, value);
      }
    }
  }
}

/// The history, of what look_up() found: this thread block's goes from `out` on.
template <class T, class A>
__device__ void write_history(const JoinArguments<T, A>& in, const Piece& piece, std::uint64_t out,
                              WarpTotals& totals) {
  for (std::uint64_t base = piece.begin; base < piece.end; base += blockDim.x) {
    const std::uint64_t i = base + threadIdx.x;
    const bool is = i < piece.end && load(in.scratch.found + i) != 0;
    std::uint64_t total = 0;
    const std::uint64_t to = out + exclusive_sum(is ? 1 : 0, totals, total);
    if (is) {
      const std::uint64_t position = load(in.scratch.positions + i);
      store(in.scratch.remembered + to, position);
      store(in.memory.sent_offsets + to, static_cast<std::uint16_t>(position % block_size));
      store(static_cast<A*>(in.memory.sent_ratios) + to, load(in.scratch.ratios + i));
    }
    out += total;
  }
}

/// By one block, when no other needs the bounds any more.
template <class T, class A>
__device__ void count_demand(const JoinArguments<T, A>& in) {
  for (std::uint64_t r = threadIdx.x; r < in.ranks(); r += blockDim.x) {
    store(in.memory.demand + r,
          load(in.memory.demand + r) + load(in.reduced.of(in.reduced.first.wanted, r)));
  }
  __syncthreads();
  if (threadIdx.x != 0 || load(in.memory.step) % balance_every != 0) return;
  balance(Words{in.memory.bounds}, Words{in.memory.demand}, Words{in.scratch.segments},
          in.shape.world_size, in.longest);
}

template <class T, class A>
__device__ void write_nan(const JoinArguments<T, A>& in) {
  const T nan = Convert<T>::from(std::numeric_limits<A>::quiet_NaN());
  if (in.dense != nullptr) fill(in.dense, in.shape.count, nan);
  if (blockIdx.x != 0 || threadIdx.x != 0) return;
  store(&in.memory.report->written, in.dense != nullptr ? std::uint64_t{0} : std::uint64_t{1});
  if (in.dense != nullptr) return;
  store(in.positions, std::uint64_t{0});
  store(in.values, nan);
}

template <class T, class Wire, class A>
__global__ void __launch_bounds__(grid_threads) join_kernel(JoinArguments<T, A> in) {
  auto& shared = shared_memory<JoinShared>();
  Header* const header = in.work.header;
  if (load(&header->verdict.kind) != Verdict::Kind::sum) return write_nan(in);
  const Piece piece(load(in.scratch.kept + in.ranks()));
  const std::uint64_t mine = block_sum(look_up<Wire>(in, piece), shared.totals);
  if (threadIdx.x == 0) store(in.work.totals + blockIdx.x, mine);
  if (blockIdx.x == 0) place_ranges(in, shared.totals);
  if (in.dense != nullptr) fill(in.dense, in.shape.count, T{});
  grid_barrier(&header->arrived);

  write_sums(in);
  std::uint64_t before = 0, all = 0;
  for (unsigned b = threadIdx.x; b < gridDim.x; b += blockDim.x) {
    const std::uint64_t total = load_shared(in.work.totals + b);
    all += total;
    before += b < blockIdx.x ? total : 0;
  }
  before = block_sum(before, shared.totals);
  all = block_sum(all, shared.totals);
  write_history(in, piece, before, shared.totals);
  grid_barrier(&header->arrived);

  const GridStride grid;
  for (std::uint64_t block = grid.first; block < in.shape.blocks; block += grid.step) {
    store(in.memory.sent_per_block + block,
          entries_in_block(in.scratch.remembered, 0, all, block * block_size));
  }
  if (blockIdx.x != 0) return;
  if (in.balances) count_demand(in);
  if (threadIdx.x != 0) return;
  const std::uint64_t entries = load(&in.memory.totals->entries) + all;
  store(&in.memory.totals->entries, entries);
  store(&in.memory.report->entries, entries);
  store(&in.memory.report->last_entries, all);
}

}  // namespace

void join(const SplitPlan& split, const Step& step, const Memory& memory, void* workspace,
          void* scratch, const Packet& own, std::span<const Packet> reduced, const Output& output,
          std::size_t limit) {
  const Plan& plan = split.whole;
  visit_floating(plan.type, [&]<class T>(Tag<T>) {
    using A = Accumulator<T>;
    visit_floating(plan.wire, [&]<class Wire>(Tag<Wire>) {
      if constexpr (sizeof(Wire) <= sizeof(A)) {
        const bool average = output.reduction == Reduction::avg;
        launch_cooperative<JoinShared>(
            {"join", stream_of(step),
             blocks_for(std::max(plan.count / (16 * grid_threads), reduced.size()), limit),
             grid_threads},
            join_kernel<T, Wire, A>,
            {Shape<A>(plan), Workspace<A>(plan, workspace), SplitScratch<A>(split, scratch), own,
             Packets(reduced), memory, static_cast<T*>(output.dense), output.positions,
             static_cast<T*>(output.values), average ? static_cast<A>(plan.world_size) : A(1),
             split.balances, split.sent.count});
      }
    });
  });
}

std::size_t join_blocks(DataType type, DataType wire) {
  return visit_floating(type, [&]<class T>(Tag<T>) {
    using A = Accumulator<T>;
    return visit_floating(wire, []<class Wire>(Tag<Wire>) -> std::size_t {
      if constexpr (sizeof(Wire) <= sizeof(A)) {
        return cooperative_blocks<JoinShared>(join_kernel<T, Wire, A>, grid_threads);
      } else {
        return 1;
      }
    });
  });
}

}  // namespace sparccl::cuda
