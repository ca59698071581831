// The verdict over the reduced ranges: what their owners say of what they got, and whether what
// they sent is sound itself.
#include "cuda/arguments.hpp"
#include "cuda/conclude.hpp"
#include "cuda/launch.hpp"
#include "cuda/packet_check.hpp"
#include "cuda/split.hpp"

namespace sparccl::cuda {
namespace {

struct JudgeArguments {
  Header* header;
  PacketCheck reduced;
  StepEnd end;
  const std::uint64_t* bounds;
  std::uint32_t* bad;  // [ranks]
  int ranks;
  std::uint64_t blocks;  // of a packet
  std::uint64_t most_wanted;

  [[nodiscard]] __device__ std::uint64_t length(int r) const {
    return load(bounds + r + 1) - load(bounds + r);
  }
};

/// By one thread, of a packet with packet_bad: whom it blames, for what. Its owner may be wrong
/// about that, too.
__device__ std::uint32_t hear_blame(const JudgeArguments& in, int owner) {
  const std::uint32_t blamed = load(in.reduced.of(in.reduced.packets.first.blame, owner));
  const std::uint32_t problem = blamed & 0xffu;
  const bool sound = blamed >> 8 < static_cast<std::uint32_t>(in.ranks) && problem != 0 &&
                     problem <= static_cast<std::uint32_t>(Problem::value) &&
                     load(in.reduced.of(in.reduced.packets.first.entries, owner)) == 0;
  return sound ? blamed : blame_of(owner, Problem::flags);
}

/// By one thread, of a packet whose table is sound.
__device__ Problem check_header(const JudgeArguments& in, int owner) {
  const Packet& packet = in.reduced.packets.first;
  if (load(in.reduced.of(packet.wanted, owner)) > in.most_wanted) return Problem::entries;
  if (load(in.reduced.of(packet.flags, owner)) == 0) return Problem::none;
  const std::uint32_t blamed = load(in.reduced.of(packet.blame, owner)) >> 8;
  if (blamed >= static_cast<std::uint32_t>(in.ranks)) return Problem::flags;
  atomic_min(&in.header->first_non_finite, static_cast<std::uint64_t>(owner) << 32 | blamed);
  return Problem::none;
}

__device__ void check_tables(const JudgeArguments& in, CheckShared& shared) {
  for (int owner = static_cast<int>(blockIdx.x); owner < in.ranks;
       owner += static_cast<int>(gridDim.x)) {
    Problem problem = Problem::header;
    std::uint32_t flags = 0;
    if (is_of_this_call(in.reduced, owner, shared)) {
      flags = load(in.reduced.of(in.reduced.packets.first.flags, owner));
      problem = flags == packet_bad
                    ? Problem::flags
                    : check_table<block_size>(in.reduced, owner, in.length(owner), shared);
    }
    if (threadIdx.x != 0) continue;
    store(in.bad + owner, problem != Problem::none ? 1u : 0u);
    if (flags == packet_bad) {
      blame(in.header, owner, hear_blame(in, owner));
      continue;
    }
    if (problem == Problem::none) problem = check_header(in, owner);
    if (problem != Problem::none) blame(in.header, owner, blame_of(owner, problem));
  }
}

/// By one thread.
__device__ void conclude_judge(const JudgeArguments& in, bool refused) {
  const Verdict found = take_verdict(
      in.header,
      [](std::uint64_t worst) -> Verdict {
        return {Verdict::Kind::bad_packet, static_cast<std::int32_t>(worst >> 8 & 0xffffffu),
                static_cast<Problem>(worst & 0xffu)};
      },
      [](std::uint64_t first) -> Verdict {
        return {Verdict::Kind::non_finite, static_cast<std::int32_t>(first & 0xffffffffu),
                Problem::none};
      });
  conclude(in.end, in.header, refused ? Verdict{Verdict::Kind::refused, -1, Problem::none} : found,
           0);
}

template <class A>
__global__ void __launch_bounds__(grid_threads) judge_kernel(JudgeArguments in) {
  auto& shared = shared_memory<CheckShared>();
  Header* const header = in.header;
  const bool first = blockIdx.x == 0 && threadIdx.x == 0;
  if (load(&header->refused) != 0) {
    if (first) conclude_judge(in, true);
    return;
  }
  check_tables(in, shared);
  grid_barrier(&header->arrived);
  const std::uint64_t pieces = static_cast<std::uint64_t>(in.ranks) * in.blocks;
  const std::uint64_t begin = std::uint64_t{blockIdx.x} * warps() + warp();
  for (std::uint64_t i = begin; i < pieces; i += std::uint64_t{gridDim.x} * warps()) {
    const int owner = static_cast<int>(i / in.blocks);
    const std::uint64_t block = i % in.blocks;
    const std::uint64_t length = in.length(owner);
    // The same for the whole warp.
    if (block * block_size >= length || load_shared(in.bad + owner) != 0) continue;
    const Problem problem = check_block<A, block_size>(in.reduced, owner, length, block);
    if (problem != Problem::none) blame(header, owner, blame_of(owner, problem));
  }
  grid_barrier(&header->arrived);
  if (first) conclude_judge(in, false);
}

}  // namespace

void judge(const SplitPlan& split, const Step& step, const Memory& memory, void* workspace,
           void* scratch, std::span<const Packet> reduced, std::size_t limit) {
  const Plan& plan = split.reduced;
  visit_accumulator(plan.accumulator(), [&]<class A>(Tag<A>) {
    const SplitScratch<A> parts(split, scratch);
    const std::size_t warps_of_work = reduced.size() * plan.blocks() / (grid_threads / warp_size);
    launch_cooperative<CheckShared>(
        {"judge", stream_of(step), blocks_for(std::max(warps_of_work, reduced.size()), limit),
         grid_threads},
        judge_kernel<A>,
        {Workspace<A>(split.whole, workspace).header,
         {Packets(reduced), plan.rank, plan.k, plan.exact, plan.finite, parts.reduced_starts,
          parts.reduced_blocks + 1},
         StepEnd(step, memory),
         memory.bounds,
         parts.bad,
         plan.world_size,
         plan.blocks(),
         split.whole.k * static_cast<std::uint64_t>(plan.world_size)});
  });
}

std::size_t judge_blocks(DataType type) {
  const DataType accumulator = type == DataType::float64 ? type : DataType::float32;
  return visit_accumulator(accumulator, []<class A>(Tag<A>) {
    return cooperative_blocks<CheckShared>(judge_kernel<A>, grid_threads);
  });
}

}  // namespace sparccl::cuda
