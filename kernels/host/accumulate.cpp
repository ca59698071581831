// The one full pass: residual += scale * gradient, and the candidates for selection.
//
// Candidates come in position order, which makes the pass exact for any data whose guess holds,
// mass ties included (Candidates::prepare).
#include "host/candidates.hpp"
#include "host/host_stages.hpp"
#include "host/sample.hpp"
#include "visit.hpp"

namespace sparccl::host {
namespace {

template <class G, class A>
void accumulate(const Simd& simd, const Plan& plan, const Step& step, const Memory& memory,
                const Workspace<A>& work) {
  *work.header = {};
  work.header->taken = true;
  const auto* gradient = static_cast<const G*>(step.gradient);
  auto* residual = static_cast<A*>(memory.residual);
  const auto scale = static_cast<A>(step.scale);

  Candidates<A> candidates(simd, plan, memory, work);
  candidates.clear(sampled_bound<G, A>(plan, step, memory, work));
  const std::size_t written = for_each_chunk(
      plan, candidates,
      [&](std::size_t begin, std::size_t size, const Appender<A>& out, Bits<A> bound) {
        return run_chunk(simd.accumulate(Tag<G>{}), simd_portable.accumulate(Tag<G>{}), size,
                         gradient + begin, residual + begin, size, scale, bound, out);
      });
  if (written == plan.count) return;
  work.header->finite = false;
  candidates.give_back();
  undo(plan, step, memory, written);
}

}  // namespace

void accumulate(const Simd& simd, const Plan& plan, const Step& step, const Memory& memory,
                void* workspace) {
  visit_floating(plan.type, [&]<class G>(Tag<G>) {
    using A = Accumulator<G>;
    accumulate<G, A>(simd, plan, step, memory, Workspace<A>(plan, workspace));
  });
}

}  // namespace sparccl::host
