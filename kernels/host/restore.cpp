// Takes a step back: what was sent returns to the residual, the gradient leaves it.
#include <algorithm>
#include <limits>
#include <utility>

#include "host/candidates.hpp"
#include "host/host_stages.hpp"
#include "host/workspace.hpp"
#include "visit.hpp"

namespace sparccl::host {

void undo(const Plan& plan, const Step& step, const Memory& memory, std::size_t count) {
  visit_floating(plan.type, [&]<class G>(Tag<G>) {
    using A = Accumulator<G>;
    const auto* gradient = static_cast<const G*>(step.gradient);
    auto* residual = static_cast<A*>(memory.residual);
    const auto scale = static_cast<A>(step.scale);
    constexpr A most = std::numeric_limits<A>::max();  // rounding must not take it to Inf
    for (std::size_t i = 0; i < count; ++i) {
      residual[i] = std::clamp(residual[i] - scale * Convert<G>::up(gradient[i]), -most, most);
    }
  });
}

void restore(const Plan& plan, const Step& step, const Memory& memory, void* workspace) {
  visit_accumulator(plan.accumulator(), [&]<class A>(Tag<A>) {
    const Workspace<A> work(plan, workspace);
    if (!std::exchange(work.header->taken, false)) return;
    if (work.header->verdict.kind == Verdict::Kind::sum) return;
    if (!work.header->finite) return;  // accumulate stopped half-way and has undone that itself
    auto* residual = static_cast<A*>(memory.residual);
    Entries sent(work.per_block, plan.blocks(), work.offsets);
    std::size_t position = 0;
    for (std::size_t i = 0; sent.next(position); ++i) residual[position] = work.values[i];
    undo(plan, step, memory, plan.count);
  });
}

void spoil(const Simd& simd, const Plan& plan, const Step& step, const Memory& memory,
           void* workspace) {
  visit_accumulator(plan.accumulator(), [&]<class A>(Tag<A>) {
    const Workspace<A> work(plan, workspace);
    if (!std::exchange(work.header->finite, false)) return;
    Candidates<A>(simd, plan, memory, work).give_back();
    undo(plan, step, memory, plan.count);
  });
}

}  // namespace sparccl::host
