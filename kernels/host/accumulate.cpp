// The one full pass: residual += scale * gradient, and the candidates for selection.
//
// Candidates come in position order, which makes the pass exact for any data whose bound holds, mass
// ties included (Candidates::prepare).
#include <algorithm>
#include <cmath>

#include "host/candidates.hpp"
#include "host/host_stages.hpp"
#include "host/sample.hpp"
#include "visit.hpp"

namespace sparccl::host {
namespace {

/// loop(begin, size, appender, bound) over all entries. Returns how many were written: all, or less
/// if a sum was not finite.
template <class A, class Loop>
std::size_t for_each_chunk(const Plan& plan, Candidates<A>& candidates, Loop loop) {
  for (std::size_t begin = 0; begin < plan.count; begin += chunk_size) {
    const std::size_t end = std::min(begin + chunk_size, plan.count);
    candidates.prepare(begin, end - begin);
    for (std::size_t at = begin; at < end;) {  // whole groups of vectors, then the rest
      const ChunkResult r = loop(at, end - at, candidates.appender(at), candidates.bound());
      candidates.take(at, at + r.processed, r.appended);
      at += r.processed;
      if (!r.finite) return at;
    }
  }
  return plan.count;
}

/// The instruction set's loop for whole groups, the portable one for what it leaves.
template <class Chunk, class... Args>
ChunkResult run_chunk(Chunk fast, Chunk portable, std::size_t size, Args... args) {
  return size < 64 ? portable(args...) : fast(args...);
}

template <class G, class A>
void accumulate(const Simd& simd, const Plan& plan, const Step& step, const Memory& memory,
                const Workspace<A>& work) {
  *work.header = {};
  const auto* gradient = static_cast<const G*>(step.gradient);
  auto* residual = static_cast<A*>(memory.residual);
  const auto scale = static_cast<A>(step.scale);

  const Bits<A> guess = sampled_bound<G, A>(plan, step, memory, work);
  Candidates<A> candidates(plan, memory, work, guess);
  const std::size_t written = for_each_chunk(
      plan, candidates,
      [&](std::size_t begin, std::size_t size, const Appender<A>& out, Bits<A> bound) {
        return run_chunk(simd.accumulate(Tag<G>{}), simd_portable.accumulate(Tag<G>{}), size,
                         gradient + begin, residual + begin, size, scale, bound, out);
      });
  work.header->threshold = guess;
  if (written != plan.count) {
    work.header->finite = false;
    candidates.give_back(plan.blocks());
    undo(plan, step, memory, written);
    return;
  }
  if (candidates.proven()) return;

  work.header->fallbacks = 1;
  work.header->threshold = 0;
  candidates.give_back(plan.blocks());
  Candidates<A> all(plan, memory, work, 0);
  for_each_chunk(plan, all,
                 [&](std::size_t begin, std::size_t size, const Appender<A>& out, Bits<A> bound) {
                   return run_chunk(simd.collect(Tag<A>{}), simd_portable.collect(Tag<A>{}), size,
                                    residual + begin, size, bound, out);
                 });
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
