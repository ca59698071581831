// Begins a step: resets the workspace, and guesses the k-th largest score from a sample.
#include "cuda/arguments.hpp"
#include "cuda/conclude.hpp"
#include "cuda/history.hpp"
#include "cuda/kth.hpp"
#include "cuda/launch.hpp"

namespace sparccl::cuda {
namespace {

struct SampleShared {
  KthShared kth;
};

template <class G, class A>
struct SampleArguments {
  Shape<A> shape;
  Workspace<A> work;
  History<A> history;
  const std::uint32_t* per_block;  // of the history
  const std::uint64_t* step;
  const std::uint32_t* refused;
  const G* gradient;
  const A* residual;
  A scale;
  std::uint64_t lines, groups;
  std::uint64_t rank;  // of the guess in the sample; 0: everything is to be a candidate
};

/// By one block.
template <class A>
__device__ void reset(const Workspace<A>& work, bool refused) {
  for (unsigned i = threadIdx.x; i < histograms * bins; i += blockDim.x) {
    store(work.counts + i, std::uint64_t{0});
  }
  if (threadIdx.x != 0) return;
  Header* const header = work.header;
  reset_counts(header, refused);
  store(&header->bound, std::uint64_t{0});
  store(&header->bad_table, 0u);
  store(&header->round, 0u);
  store(&header->worst, ~std::uint64_t{0});
  store(&header->first_non_finite, ~std::uint64_t{0});
  store(&header->verdict.kind, Verdict::Kind::pending);
}

/// By one block: where each block's entries begin in the history.
template <class A>
__device__ void sum_history(const Workspace<A>& work, const std::uint32_t* per_block,
                            std::uint64_t blocks, KthShared& shared) {
  std::uint64_t begin = 0;
  for (std::uint64_t base = 0; base < blocks; base += blockDim.x) {
    const std::uint64_t i = base + threadIdx.x;
    const std::uint64_t entries = i < blocks ? load(per_block + i) : 0;
    std::uint64_t total = 0;
    const std::uint64_t before = exclusive_sum(entries, shared.totals, total);
    if (i < blocks) store(work.history_starts + i, begin + before);
    begin += total;
  }
  if (threadIdx.x == 0) store(work.history_starts + blocks, begin);
}

template <class G, class A>
__global__ void __launch_bounds__(grid_threads) sample_kernel(SampleArguments<G, A> in) {
  auto& shared = shared_memory<SampleShared>();
  const bool refused = in.refused != nullptr && load(in.refused) != 0;
  if (blockIdx.x == 0) {
    reset(in.work, refused);
    if (in.shape.damps) sum_history(in.work, in.per_block, in.shape.blocks, shared.kth);
  }
  if (refused || in.rank == 0) return;
  grid_barrier(&in.work.header->arrived);

  constexpr std::uint64_t line = line_size<A>;
  const std::uint64_t size = in.groups * line;
  const std::uint64_t seed = load(in.step);
  const std::uint64_t first = std::uint64_t{blockIdx.x} * blockDim.x + threadIdx.x;
  const std::uint64_t stride = std::uint64_t{gridDim.x} * blockDim.x;
  for (std::uint64_t i = first; i < size; i += stride) {
    const std::uint64_t group = i / line;
    const std::uint64_t chosen = sampled_line(seed, group, in.lines);
    const std::uint64_t position = (group * in.lines + chosen) * line + i % line;
    const A a = sparccl::accumulate(load(in.residual + position), in.scale,
                                    static_cast<A>(Convert<G>::up(load(in.gradient + position))));
    store(in.work.sample + i, in.history.score(position, a));
  }

  // Each thread looks again at what it has written itself.
  const auto items = [&](auto visit) {
    for (std::uint64_t i = first; i < size; i += stride) visit(load(in.work.sample + i));
  };
  std::uint32_t round = 0;
  constexpr int width = sizeof(A) * 8 - 1;  // without the sign
  constexpr int digit = std::bit_width(bins) - 1;
  const auto found = kth_largest<Bits<A>>(items, in.rank, Bits<A>{0}, width - digit, round,
                                          in.work.counts, &in.work.header->arrived, shared.kth);
  if (blockIdx.x != 0 || threadIdx.x != 0) return;
  const Bits<A> most = magnitude_bits(std::numeric_limits<A>::max());
  store(&in.work.header->bound, std::uint64_t{found.bits < most ? found.bits : most});
  store(&in.work.header->round, round);
}

}  // namespace

void sample(const Plan& plan, const Step& step, const Memory& memory, void* workspace,
            std::size_t limit) {
  visit_floating(plan.type, [&]<class G>(Tag<G>) {
    using A = Accumulator<G>;
    const Shape<A> shape(plan);
    const Workspace<A> work(plan, workspace);
    const SampleShape chosen = sample_shape(plan);
    const std::uint64_t size = chosen.groups * line_size<A>;
    std::uint64_t rank = rank_in_sample(plan, size);
    if (work.capacity == plan.count || size < 2 * rank) rank = 0;
    launch_cooperative<SampleShared>(
        {"sample", stream_of(step), rank == 0 ? 1 : blocks_for(size / grid_threads, limit),
         grid_threads},
        sample_kernel<G, A>,
        {shape, work, History<A>(shape, memory, work), memory.sent_per_block, memory.step,
         step.refused, static_cast<const G*>(step.gradient), static_cast<const A*>(memory.residual),
         static_cast<A>(step.scale), chosen.lines, chosen.groups, rank});
  });
}

std::size_t sample_blocks(DataType type) {
  return visit_floating(type, []<class G>(Tag<G>) {
    return cooperative_blocks<SampleShared>(sample_kernel<G, Accumulator<G>>, grid_threads);
  });
}

}  // namespace sparccl::cuda
