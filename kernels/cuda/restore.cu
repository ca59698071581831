// Takes a step back unless its verdict is a sum: what was sent returns, the gradient leaves.
#include <limits>

#include "cuda/arguments.hpp"
#include "cuda/launch.hpp"
#include "cuda/lists.hpp"

namespace sparccl::cuda {
namespace {

template <class G, class A>
struct RestoreArguments {
  Workspace<A> work;
  const G* gradient;
  A* residual;
  A scale;
  std::uint64_t count;
};

template <class G, class A>
__global__ void __launch_bounds__(grid_threads) restore_kernel(RestoreArguments<G, A> in) {
  Header* const header = in.work.header;
  const Stage stage = load(&header->stage);
  if (stage == Stage::idle || load(&header->verdict.kind) == Verdict::Kind::sum) return;
  const std::uint64_t first = std::uint64_t{blockIdx.x} * blockDim.x + threadIdx.x;
  const std::uint64_t stride = std::uint64_t{gridDim.x} * blockDim.x;
  if (stage == Stage::accumulated) {
    give_back_candidates(in.work, in.residual);
  } else {
    const std::uint64_t picked = load(&header->picked);
    for (std::uint64_t i = first; i < picked; i += stride) {
      store(in.residual + load(in.work.picked_positions + i), load(in.work.picked_values + i));
    }
  }
  grid_barrier(&header->arrived);
  constexpr A most = std::numeric_limits<A>::max();  // rounding must not take it to Inf
  for (std::uint64_t i = first; i < in.count; i += stride) {
    if (load(in.work.spoiled + i / span_size) != 0) continue;  // was never written
    const A scaled = in.scale * static_cast<A>(Convert<G>::up(load(in.gradient + i)));
    const A before = load_shared(in.residual + i) - scaled;
    store(in.residual + i, before > most ? most : before < -most ? -most : before);
  }
  grid_barrier(&header->arrived);
  for (std::uint64_t i = first; i < (in.count + span_size - 1) / span_size; i += stride) {
    store(in.work.spoiled + i, std::uint8_t{0});
  }
  if (first == 0) store(&header->stage, Stage::idle);
}

}  // namespace

void restore(const Plan& plan, const Step& step, const Memory& memory, void* workspace,
             std::size_t limit) {
  visit_floating(plan.type, [&]<class G>(Tag<G>) {
    using A = Accumulator<G>;
    launch_cooperative({"restore", stream_of(step),
                        blocks_for(plan.count / (8 * grid_threads), limit), grid_threads},
                       restore_kernel<G, A>,
                       {Workspace<A>(plan, workspace), static_cast<const G*>(step.gradient),
                        static_cast<A*>(memory.residual), static_cast<A>(step.scale), plan.count});
  });
}

std::size_t restore_blocks(DataType type) {
  return visit_floating(type, []<class G>(Tag<G>) {
    return cooperative_blocks(restore_kernel<G, Accumulator<G>>, grid_threads);
  });
}

}  // namespace sparccl::cuda
