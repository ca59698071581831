// Reads packets of peers without trusting a byte, before anything is written, and ends the
// exchange: verdict, report, step.
#include <cstring>

#include "cuda/arguments.hpp"
#include "cuda/block.hpp"
#include "cuda/launch.hpp"

namespace sparccl::cuda {
namespace {

template <class A>
struct CheckArguments {
  Shape<A> shape;
  Workspace<A> work;
  Packets packets;
  bool exact;
  bool finite;
  std::uint64_t* step;
  std::uint64_t* call;
  Report* totals;
  Report* report;
  Trouble* trouble;  // or null
  std::uint32_t tensor;
  std::uint64_t wire_bytes, dense_bytes;
};

struct CheckShared {
  WarpTotals totals;
  std::uint32_t bad;
};

/// The least rank is blamed, for the first thing that is wrong with its packet.
__device__ void blame(Header* header, int rank, Problem problem) {
  atomic_min(&header->worst,
             static_cast<std::uint64_t>(rank) << 32 | static_cast<std::uint32_t>(problem));
}

/// By one block: header and block table of a packet, and where each block's entries begin: in the
/// slots of its first merge tile.
template <class A>
__device__ void check_table(const CheckArguments<A>& in, int rank, CheckShared& shared) {
  const Packet& packet = in.packets.first;
  const auto of = [&](auto* part, int r) {
    return in.packets.of(part, static_cast<std::size_t>(r));
  };
  const auto* own = static_cast<const std::uint8_t*>(of(packet.identity, in.shape.rank));
  const auto* its = static_cast<const std::uint8_t*>(of(packet.identity, rank));
  if (threadIdx.x == 0) shared.bad = 0;
  __syncthreads();
  for (unsigned i = threadIdx.x; i < packet.identity_bytes; i += blockDim.x) {
    if (load(own + i) != load(its + i)) atomic_or(&shared.bad, 1u);
  }
  __syncthreads();
  const auto fail = [&](Problem problem) {
    if (threadIdx.x == 0) {
      blame(in.work.header, rank, problem);
      atomic_or(&in.work.header->bad_table, 1u);
    }
  };
  const bool differs = shared.bad != 0;
  __syncthreads();  // before it may be set again
  if (differs) return fail(Problem::header);
  const std::uint32_t flags = load(of(packet.flags, rank));
  if (flags != 0 && flags != packet_non_finite) return fail(Problem::flags);
  const std::uint64_t most = flags == packet_non_finite ? 0 : in.shape.k;
  const std::uint64_t expected = load(of(packet.entries, rank));
  if (expected > most || (in.exact && expected != most)) return fail(Problem::entries);
  if (flags == packet_non_finite && threadIdx.x == 0) {
    atomic_min(&in.work.header->first_non_finite, static_cast<std::uint64_t>(rank));
  }

  constexpr std::uint64_t parts = block_size / merge_tile_size<A>;
  std::uint64_t* const starts =
      in.work.starts + static_cast<std::uint64_t>(rank) * (in.work.merge_tiles + 1);
  std::uint64_t begin = 0;
  for (std::uint64_t base = 0; base < in.shape.blocks; base += blockDim.x) {
    const std::uint64_t b = base + threadIdx.x;
    const bool there = b < in.shape.blocks;
    const std::uint64_t entries = there ? load(of(packet.per_block, rank) + b) : 0;
    const std::uint64_t left = in.shape.count - b * block_size;
    if (there && entries > (left < block_size ? left : block_size)) atomic_or(&shared.bad, 1u);
    std::uint64_t total = 0;
    const std::uint64_t before = begin + exclusive_sum(entries, shared.totals, total);
    if (there) store(starts + b * parts, before);
    begin += total;
    const bool over = shared.bad != 0 || begin > expected;
    __syncthreads();  // before the next round may set it
    if (over) return fail(Problem::table_over);
  }
  if (begin != expected) return fail(Problem::table_under);
  if (threadIdx.x == 0) store(starts + in.work.merge_tiles, begin);
}

/// By one warp: offsets and values of one block of a packet, and where its merge tiles begin.
template <class Wire, class A>
__device__ void check_block(const CheckArguments<A>& in, int rank, std::uint64_t block) {
  constexpr std::uint64_t parts = block_size / merge_tile_size<A>;
  const Packet& packet = in.packets.first;
  const auto r = static_cast<std::size_t>(rank);
  const std::uint16_t* const offsets = in.packets.of(packet.offsets, r);
  const auto* values = static_cast<const Wire*>(in.packets.of(packet.values, r));
  std::uint64_t* const starts = in.work.starts + r * (in.work.merge_tiles + 1);
  const std::uint64_t next = (block + 1) * parts;
  const std::uint64_t first = load_shared(starts + block * parts);
  const std::uint64_t last =
      load_shared(starts + (next < in.work.merge_tiles ? next : in.work.merge_tiles));
  const std::uint64_t left = in.shape.count - block * block_size;
  const std::uint64_t length = left < block_size ? left : block_size;
  const std::uint64_t in_block =
      next < in.work.merge_tiles ? parts : in.work.merge_tiles - block * parts;
  bool bad_position = false, bad_value = false;
  // One round more than there are entries: the tiles behind the last begin at the end.
  for (std::uint64_t i = first + lane(); i <= last; i += warp_size) {
    const std::uint64_t offset = i < last ? load(offsets + i) : block_size;
    const std::uint64_t before = i > first ? load(offsets + i - 1) : 0;
    if (i < last) {
      bad_position |= offset >= length || (i > first && offset <= before);
      if (in.finite) bad_value |= !is_finite(Convert<Wire>::up(load(values + i)));
    }
    const std::uint64_t from = i > first ? before / merge_tile_size<A> : 0;
    const std::uint64_t to = offset / merge_tile_size<A>;
    for (std::uint64_t t = from + 1; t <= to && t < in_block; ++t) {
      store(starts + block * parts + t, i);
    }
  }
  if (bad_position) blame(in.work.header, rank, Problem::position);
  if (bad_value) blame(in.work.header, rank, Problem::value);
}

template <class A>
__device__ void tell(Trouble* trouble, std::uint32_t tensor, const Verdict& verdict) {
  auto* const kind = reinterpret_cast<std::uint32_t*>(&trouble->kind);
  if (compare_and_swap_system(kind, 0, Trouble::being_written) != 0) return;
  store(&trouble->rank, verdict.rank);
  store(&trouble->problem, verdict.problem);
  store(&trouble->tensor, tensor);
  fence_system();
  store(kind, static_cast<std::uint32_t>(verdict.kind));
}

/// Adds, and shows the host what it comes to. The host's memory is never read: that takes as long
/// as a kernel.
__device__ void add(std::uint64_t* total, std::uint64_t* shown, std::uint64_t value) {
  const std::uint64_t sum = load(total) + value;
  store(total, sum);
  store(shown, sum);
}

/// By one thread, when all packets have been seen.
template <class A>
__device__ void conclude(const CheckArguments<A>& in, bool refused) {
  Header* const header = in.work.header;
  Verdict verdict{Verdict::Kind::sum, -1, Problem::none};
  const std::uint64_t worst = load_shared(&header->worst);
  const std::uint64_t first_non_finite = load_shared(&header->first_non_finite);
  if (refused) {
    verdict.kind = Verdict::Kind::refused;
  } else if (worst != ~std::uint64_t{0}) {
    verdict = {Verdict::Kind::bad_packet, static_cast<std::int32_t>(worst >> 32),
               static_cast<Problem>(worst & 0xffffffffu)};
  } else if (first_non_finite != ~std::uint64_t{0}) {
    verdict = {Verdict::Kind::non_finite, static_cast<std::int32_t>(first_non_finite),
               Problem::none};
  }
  store(&header->worst, ~std::uint64_t{0});  // packets may be checked again
  store(&header->first_non_finite, ~std::uint64_t{0});
  store(&header->bad_table, 0u);
  store(&header->verdict.kind, verdict.kind);
  Report* const report = in.report;
  store(&report->verdict.kind, verdict.kind);
  store(&report->verdict.rank, verdict.rank);
  store(&report->verdict.problem, verdict.problem);
  if (verdict.kind == Verdict::Kind::sum || verdict.kind == Verdict::Kind::non_finite) {
    const std::uint64_t sent = load(&header->picked);
    const std::uint64_t candidates = load(&header->passed);
    Report* const totals = in.totals;
    add(&totals->steps, &report->steps, 1);
    add(&totals->non_finite_steps, &report->non_finite_steps,
        verdict.kind == Verdict::Kind::non_finite ? 1 : 0);
    add(&totals->entries, &report->entries, sent);
    add(&totals->candidates, &report->candidates, candidates);
    add(&totals->fallbacks, &report->fallbacks, load(&header->fallbacks));
    add(&totals->wire_bytes, &report->wire_bytes, in.wire_bytes);
    add(&totals->dense_bytes, &report->dense_bytes, in.dense_bytes);
    store(&report->last_entries, sent);
    store(&report->last_candidates, candidates);
  }
  if (verdict.kind == Verdict::Kind::sum) store(in.step, load(in.step) + 1);
  store(in.call, load(in.call) + 1);
  if (verdict.kind == Verdict::Kind::bad_packet && in.trouble != nullptr) {
    tell<A>(in.trouble, in.tensor, verdict);
  }
}

template <class Wire, class A>
__global__ void __launch_bounds__(grid_threads) check_kernel(CheckArguments<A> in) {
  auto& shared = shared_memory<CheckShared>();
  Header* const header = in.work.header;
  if (load(&header->refused) != 0) {
    if (blockIdx.x == 0 && threadIdx.x == 0) conclude(in, true);
    return;
  }
  for (int rank = static_cast<int>(blockIdx.x); rank < in.shape.world_size;
       rank += static_cast<int>(gridDim.x)) {
    check_table(in, rank, shared);
    __syncthreads();
  }
  grid_barrier(&header->arrived);
  // A table that is wrong points anywhere; then the verdict is known already.
  if (load_shared(&header->bad_table) == 0) {
    const std::uint64_t pieces = static_cast<std::uint64_t>(in.shape.world_size) * in.shape.blocks;
    const std::uint64_t first = std::uint64_t{blockIdx.x} * warps() + warp();
    for (std::uint64_t i = first; i < pieces; i += std::uint64_t{gridDim.x} * warps()) {
      check_block<Wire>(in, static_cast<int>(i / in.shape.blocks), i % in.shape.blocks);
    }
  }
  grid_barrier(&header->arrived);
  if (blockIdx.x == 0 && threadIdx.x == 0) conclude(in, false);
}

}  // namespace

void check(const Plan& plan, const Step& step, const Memory& memory, void* workspace,
           std::span<const Packet> packets, std::size_t limit) {
  visit_accumulator(plan.accumulator(), [&]<class A>(Tag<A>) {
    visit_floating(plan.wire, [&]<class Wire>(Tag<Wire>) {
      if constexpr (sizeof(Wire) <= sizeof(A)) {
        const std::size_t warps_of_work =
            static_cast<std::size_t>(plan.world_size) * plan.blocks() / (grid_threads / warp_size);
        launch_cooperative<CheckShared>(
            {"check", stream_of(step),
             blocks_for(std::max(warps_of_work, static_cast<std::size_t>(plan.world_size)), limit),
             grid_threads},
            check_kernel<Wire, A>,
            {Shape<A>(plan), Workspace<A>(plan, workspace), Packets(packets), plan.exact,
             plan.finite, memory.step, memory.call, memory.totals, memory.report, step.trouble,
             step.tensor, step.wire_bytes, step.dense_bytes});
      }
    });
  });
}

std::size_t check_blocks(DataType type, DataType wire) {
  const DataType accumulator = type == DataType::float64 ? type : DataType::float32;
  return visit_accumulator(accumulator, [&]<class A>(Tag<A>) {
    return visit_floating(wire, []<class Wire>(Tag<Wire>) -> std::size_t {
      if constexpr (sizeof(Wire) <= sizeof(A)) {
        return cooperative_blocks<CheckShared>(check_kernel<Wire, A>, grid_threads);
      } else {
        return 1;
      }
    });
  });
}

}  // namespace sparccl::cuda
