// Reads packets of peers without trusting a byte, before anything is written, and ends the
// exchange: verdict, report, step.
#include "cuda/conclude.hpp"
#include "cuda/launch.hpp"
#include "cuda/packet_check.hpp"

namespace sparccl::cuda {
namespace {

template <class A>
struct CheckArguments {
  Header* header;
  PacketCheck packets;
  StepEnd end;
  std::uint64_t count, blocks;
  int world_size;
};

template <class A>
__device__ void check_tables(const CheckArguments<A>& in, CheckShared& shared) {
  for (int rank = static_cast<int>(blockIdx.x); rank < in.world_size;
       rank += static_cast<int>(gridDim.x)) {
    Problem problem = Problem::header;
    if (is_of_this_call(in.packets, rank, shared)) {
      problem = check_table<merge_tile_size<A>>(in.packets, rank, in.count, shared);
    }
    if (threadIdx.x != 0) continue;
    if (problem != Problem::none) {
      blame(in.header, rank, problem);
      atomic_or(&in.header->bad_table, 1u);
    } else if (load(in.packets.of(in.packets.packets.first.flags, rank)) != 0) {
      atomic_min(&in.header->first_non_finite, static_cast<std::uint64_t>(rank));
    }
  }
}

/// By one thread, when all packets have been seen.
template <class A>
__device__ void conclude_check(const CheckArguments<A>& in, bool refused) {
  const Verdict found = take_verdict(
      in.header,
      [](std::uint64_t worst) -> Verdict {
        return {Verdict::Kind::bad_packet, static_cast<std::int32_t>(worst >> 32),
                static_cast<Problem>(worst & 0xffffffffu)};
      },
      [](std::uint64_t rank) -> Verdict {
        return {Verdict::Kind::non_finite, static_cast<std::int32_t>(rank), Problem::none};
      });
  store(&in.header->bad_table, 0u);
  conclude(in.end, in.header, refused ? Verdict{Verdict::Kind::refused, -1, Problem::none} : found,
           load(&in.header->picked));
}

template <class Wire, class A>
__global__ void __launch_bounds__(grid_threads) check_kernel(CheckArguments<A> in) {
  auto& shared = shared_memory<CheckShared>();
  Header* const header = in.header;
  if (load(&header->refused) != 0) {
    if (blockIdx.x == 0 && threadIdx.x == 0) conclude_check(in, true);
    return;
  }
  check_tables(in, shared);
  grid_barrier(&header->arrived);
  // A table that is wrong points anywhere; then the verdict is known already.
  if (load_shared(&header->bad_table) == 0) {
    const std::uint64_t pieces = static_cast<std::uint64_t>(in.world_size) * in.blocks;
    const std::uint64_t first = std::uint64_t{blockIdx.x} * warps() + warp();
    for (std::uint64_t i = first; i < pieces; i += std::uint64_t{gridDim.x} * warps()) {
      const int rank = static_cast<int>(i / in.blocks);
      const Problem problem =
          check_block<Wire, merge_tile_size<A>>(in.packets, rank, in.count, i % in.blocks);
      if (problem != Problem::none) blame(header, rank, problem);
    }
  }
  grid_barrier(&header->arrived);
  if (blockIdx.x == 0 && threadIdx.x == 0) conclude_check(in, false);
}

}  // namespace

void check(const Plan& plan, const Step& step, const Memory& memory, void* workspace,
           std::span<const Packet> packets, std::size_t limit) {
  visit_accumulator(plan.accumulator(), [&]<class A>(Tag<A>) {
    visit_floating(plan.wire, [&]<class Wire>(Tag<Wire>) {
      if constexpr (sizeof(Wire) <= sizeof(A)) {
        const Workspace<A> work(plan, workspace);
        const std::size_t warps_of_work =
            static_cast<std::size_t>(plan.world_size) * plan.blocks() / (grid_threads / warp_size);
        launch_cooperative<CheckShared>(
            {"check", stream_of(step),
             blocks_for(std::max(warps_of_work, static_cast<std::size_t>(plan.world_size)), limit),
             grid_threads},
            check_kernel<Wire, A>,
            {work.header,
             {Packets(packets), plan.rank, plan.k, plan.exact, plan.finite, work.starts,
              work.merge_tiles + 1},
             StepEnd(step, memory),
             plan.count,
             plan.blocks(),
             plan.world_size});
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
