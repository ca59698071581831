// A rank's selected entries, cut into a packet for each range of positions.
//
// Mostly each range has room for its entries, and each entry finds its place alone. A range that
// has not is cut down to its largest by one block.
#include "cuda/arguments.hpp"
#include "cuda/kth.hpp"
#include "cuda/launch.hpp"
#include "cuda/split.hpp"

namespace sparccl::cuda {
namespace {

template <class A>
struct ScatterArguments {
  Workspace<A> work;
  SplitScratch<A> scratch;
  Packet own;
  Packets outgoing;
  A* residual;
  const std::uint64_t* bounds;
  const std::uint64_t* call;
  std::uint64_t ranks;
  std::uint64_t capacity;      // entries of a packet
  std::uint64_t range_blocks;  // of a packet
  std::uint64_t blocks;        // of the tensor
};

/// By one block: where each range's entries begin among the selected, and among what is sent.
template <class A>
__device__ void cut(const ScatterArguments<A>& in, std::uint64_t picked, WarpTotals& totals) {
  const auto begin_of = [&](std::uint64_t r) {
    return lower_bound(in.work.picked_positions, 0, picked, load(in.bounds + r));
  };
  std::uint64_t kept = 0;
  for (std::uint64_t base = 0; base < in.ranks; base += blockDim.x) {
    const std::uint64_t r = base + threadIdx.x;
    const bool there = r < in.ranks;
    const std::uint64_t begin = there ? begin_of(r) : 0;
    const std::uint64_t wanted = there ? begin_of(r + 1) - begin : 0;
    std::uint64_t total = 0;
    const std::uint64_t before =
        kept + exclusive_sum(wanted < in.capacity ? wanted : in.capacity, totals, total);
    if (there) {
      store(in.scratch.segments + r, begin);
      store(in.scratch.kept + r, before);
    }
    kept += total;
  }
  if (threadIdx.x != 0) return;
  store(in.scratch.segments + in.ranks, picked);
  store(in.scratch.kept + in.ranks, kept);
}

/// One range, as cut() found it.
struct Segment {
  std::uint64_t begin, end;  // its entries among the selected
  std::uint64_t kept;        // where what is sent of them goes

  template <class A>
  __device__ Segment(const ScatterArguments<A>& in, std::uint64_t r)
      : begin(load_shared(in.scratch.segments + r)),
        end(load_shared(in.scratch.segments + r + 1)),
        kept(load_shared(in.scratch.kept + r)) {}
  [[nodiscard]] __device__ std::uint64_t wanted() const { return end - begin; }
};

/// The i-th of the selected is the `index`-th of what goes to range r.
template <class Wire, class A>
__device__ void send(const ScatterArguments<A>& in, std::uint64_t r, const Segment& segment,
                     std::uint64_t index, std::uint64_t i) {
  const std::uint64_t position = load(in.work.picked_positions + i);
  const Wire value = to_wire<Wire>(load(in.work.picked_values + i));
  const std::uint64_t within = position - load(in.bounds + r);
  store(in.outgoing.of(in.outgoing.first.offsets, r) + index,
        static_cast<std::uint16_t>(within % block_size));
  store(static_cast<Wire*>(in.outgoing.of(in.outgoing.first.values, r)) + index, value);
  // The lists of `own` close up over what was taken out of them.
  const std::uint64_t kept = segment.kept + index;
  store(in.scratch.positions + kept, position);
  store(in.own.offsets + kept, static_cast<std::uint16_t>(position % block_size));
  store(static_cast<Wire*>(in.own.values) + kept, value);
}

/// By one block: the largest of a range that has more entries than room; the others return.
template <class Wire, class A>
__device__ void send_best(const ScatterArguments<A>& in, std::uint64_t r, const Segment& segment,
                          KthShared& shared) {
  const auto value_of = [&](std::uint64_t i) {
    return static_cast<A>(Convert<Wire>::up(to_wire<Wire>(load(in.work.picked_values + i))));
  };
  const auto items = [&](auto visit) {
    for (std::uint64_t i = segment.begin + threadIdx.x; i < segment.end; i += blockDim.x) {
      visit(magnitude_bits(value_of(i)));
    }
  };
  constexpr int digit = std::bit_width(bins) - 1;
  constexpr int width = sizeof(A) * 8 - 1;  // without the sign
  const auto kth = kth_largest_of_block<Bits<A>>(items, in.capacity, width - digit, shared);
  std::uint64_t out = 0, ties = 0;
  for (std::uint64_t base = segment.begin; base < segment.end; base += blockDim.x) {
    const std::uint64_t i = base + threadIdx.x;
    const bool there = i < segment.end;
    const A value = there ? value_of(i) : A(0);
    const Bits<A> bits = magnitude_bits(value);
    const bool equal = there && bits == kth.bits;
    std::uint64_t all_ties = 0, all = 0;
    const std::uint64_t tie = ties + exclusive_sum(equal ? 1 : 0, shared.totals, all_ties);
    const bool sent = there && (bits > kth.bits || (equal && tie < kth.ties));
    const std::uint64_t index = out + exclusive_sum(sent ? 1 : 0, shared.totals, all);
    if (sent) {
      send<Wire>(in, r, segment, index, i);
    } else if (there) {
      A* const residual = in.residual + load(in.work.picked_positions + i);
      store(residual, load(residual) + value);
    }
    ties += all_ties;
    out += all;
  }
}

/// What the lists have in each block, and the headers.
template <class A>
__device__ void finish(const ScatterArguments<A>& in, std::uint64_t picked) {
  const GridStride grid;
  const Packet& packet = in.outgoing.first;
  const std::uint64_t* const kept = in.scratch.kept;
  for (std::uint64_t i = grid.first; i < in.ranks * in.range_blocks; i += grid.step) {
    const std::uint64_t r = i / in.range_blocks, block = i % in.range_blocks;
    store(in.outgoing.of(packet.per_block, r) + block,
          entries_in_block(in.scratch.positions, load_shared(kept + r), load_shared(kept + r + 1),
                           load(in.bounds + r) + block * block_size));
  }
  const std::uint32_t flags = load(&in.work.header->non_finite) != 0 ? packet_non_finite : 0u;
  for (std::uint64_t r = grid.first; r < in.ranks; r += grid.step) {
    store(in.outgoing.of(packet.call, r), load(in.call));
    store(in.outgoing.of(packet.flags, r), flags);
    store(in.outgoing.of(packet.entries, r), load_shared(kept + r + 1) - load_shared(kept + r));
    store(in.outgoing.of(packet.wanted, r), Segment(in, r).wanted());
    store(in.outgoing.of(packet.blame, r), 0u);
  }
  const std::uint64_t all = load_shared(kept + in.ranks);
  if (all == picked) return;
  for (std::uint64_t block = grid.first; block < in.blocks; block += grid.step) {
    store(in.own.per_block + block,
          entries_in_block(in.scratch.positions, 0, all, block * block_size));
  }
  if (grid.first == 0) store(in.own.entries, all);
}

template <class Wire, class A>
__global__ void __launch_bounds__(grid_threads) scatter_kernel(ScatterArguments<A> in) {
  auto& shared = shared_memory<KthShared>();
  Header* const header = in.work.header;
  if (load(&header->refused) != 0) return;
  const std::uint64_t picked = load(&header->picked);  // 0 unless something was selected
  if (blockIdx.x == 0) cut(in, picked, shared.totals);
  grid_barrier(&header->arrived);
  const GridStride grid;
  for (std::uint64_t i = grid.first; i < picked; i += grid.step) {
    const std::uint64_t r = range_of(in.scratch.segments, in.ranks, i);
    const Segment segment(in, r);
    if (segment.wanted() <= in.capacity) send<Wire>(in, r, segment, i - segment.begin, i);
  }
  for (std::uint64_t r = blockIdx.x; r < in.ranks; r += gridDim.x) {
    const Segment segment(in, r);
    if (segment.wanted() > in.capacity) send_best<Wire>(in, r, segment, shared);
  }
  grid_barrier(&header->arrived);
  finish(in, picked);
}

}  // namespace

void scatter(const SplitPlan& split, const Step& step, const Memory& memory, void* workspace,
             void* scratch, const Packet& own, std::span<const Packet> outgoing,
             std::size_t limit) {
  const Plan& plan = split.whole;
  visit_accumulator(plan.accumulator(), [&]<class A>(Tag<A>) {
    visit_floating(plan.wire, [&]<class Wire>(Tag<Wire>) {
      if constexpr (sizeof(Wire) <= sizeof(A)) {  // plans hold no other
        launch_cooperative<KthShared>(
            {"scatter", stream_of(step),
             blocks_for(std::max(outgoing.size(), plan.k / (4 * grid_threads)), limit),
             grid_threads},
            scatter_kernel<Wire, A>,
            {Workspace<A>(plan, workspace), SplitScratch<A>(split, scratch), own, Packets(outgoing),
             static_cast<A*>(memory.residual), memory.bounds, memory.call, outgoing.size(),
             split.sent.k, split.sent.blocks(), plan.blocks()});
      }
    });
  });
}

std::size_t scatter_blocks(DataType type, DataType wire) {
  const DataType accumulator = type == DataType::float64 ? type : DataType::float32;
  return visit_accumulator(accumulator, [&]<class A>(Tag<A>) {
    return visit_floating(wire, []<class Wire>(Tag<Wire>) -> std::size_t {
      if constexpr (sizeof(Wire) <= sizeof(A)) {
        return cooperative_blocks<KthShared>(scatter_kernel<Wire, A>, grid_threads);
      } else {
        return 1;
      }
    });
  });
}

}  // namespace sparccl::cuda
