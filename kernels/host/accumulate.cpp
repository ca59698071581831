// The one full pass: residual += scale * gradient, and the candidates for selection.
//
// Candidates come in position order, so the list can be thinned out to its k best whenever it is
// full: from then on only entries strictly above the k-th score matter, because of equal scores the
// lower positions win. That makes the pass exact for any data whose bound holds, mass ties included.
#include <algorithm>

#include "host/sample.hpp"
#include "host/select.hpp"
#include "host/host_stages.hpp"
#include "visit.hpp"

namespace sparccl::host {
namespace {

/// The candidates of one pass over the residual, with their scores.
template <class A>
class Collector {
 public:
  Collector(const Plan& plan, const Memory& memory, const Workspace<A>& work, Bits<A> bound)
      : plan_(plan), work_(work), guess_(bound), bound_(bound), capacity_(candidate_capacity(plan)),
        ratios_(static_cast<const A*>(memory.sent_ratios)),
        history_(memory.sent_per_block, plan.blocks(), memory.sent_offsets) {
    work_.header->candidates = 0;
    std::fill_n(work_.per_block, plan_.blocks(), 0u);
  }

  [[nodiscard]] Bits<A> bound() const { return bound_; }

  /// Whether the list holds the k best: the sample's bound is a guess until k scores have reached it.
  [[nodiscard]] bool proven() const {
    std::size_t reached = 0;
    for (std::size_t i = 0; i < work_.header->candidates; ++i) {
      reached += magnitude_bits(work_.scores[i]) >= guess_ ? 1 : 0;
    }
    return reached >= plan_.k;
  }

  /// Room for the chunk [begin, begin + size).
  Appender<A> prepare(std::size_t begin, std::size_t size) {
    if (work_.header->candidates + size > capacity_) {
      const std::size_t blocks = begin / block_size + 1;
      bound_ = std::max(bound_, keep_largest(work_, blocks, plan_.k) + 1);
    }
    return appender(begin);
  }

  [[nodiscard]] Appender<A> appender(std::size_t begin) const {
    return {static_cast<std::uint16_t>(begin % block_size),
            work_.offsets + work_.header->candidates, work_.values + work_.header->candidates};
  }

  /// Takes in what the loop appended for entries [begin, end).
  void take(std::size_t begin, std::size_t end, std::size_t appended) {
    const std::size_t first = work_.header->candidates;
    const std::size_t last = first + appended;
    for (std::size_t i = first; i < last; ++i) {
      work_.scores[i] = work_.values[i] < A(0) ? -work_.values[i] : work_.values[i];
    }
    if (plan_.mu > 0) damp(begin, end, first, last);
    work_.per_block[begin / block_size] += static_cast<std::uint32_t>(appended);
    work_.header->candidates = last;
    work_.header->passed += appended;
  }

 private:
  /// Both lists ascend: one walk finds the candidates that were sent last step.
  void damp(std::size_t begin, std::size_t end, std::size_t candidate, std::size_t last) {
    const auto mu = static_cast<A>(plan_.mu);
    history_.visit(begin, end, [&](std::size_t offset, std::size_t index) {
      while (candidate < last && work_.offsets[candidate] < offset) ++candidate;
      if (candidate == last || work_.offsets[candidate] != offset) return;
      const A d = damping(plan_.distortion, ratios_[index], work_.values[candidate], mu);
      work_.scores[candidate] *= d;
    });
  }

  const Plan& plan_;
  const Workspace<A>& work_;
  Bits<A> guess_;  // of the sample
  Bits<A> bound_;  // what counts now
  std::size_t capacity_;
  const A* ratios_;
  Entries history_;
};

/// loop(begin, size, appender, bound) over all chunks. False if a sum was not finite; `processed`
/// entries were then written.
template <class A, class Loop>
bool for_each_chunk(const Plan& plan, Collector<A>& collector, std::size_t& processed, Loop loop) {
  for (std::size_t begin = 0; begin < plan.count; begin += chunk_size) {
    const std::size_t size = std::min(chunk_size, plan.count - begin);
    const ChunkResult result = loop(begin, size, collector.prepare(begin, size), collector.bound());
    processed = begin + result.processed;
    if (!result.finite) return false;
    collector.take(begin, processed, result.appended);
    if (result.processed == size) continue;
    const std::size_t rest = size - result.processed;  // less than a group of vectors
    const ChunkResult tail = loop(processed, rest, collector.appender(processed), collector.bound());
    if (!tail.finite) {
      processed += tail.processed;
      return false;
    }
    collector.take(processed, begin + size, tail.appended);
    processed = begin + size;
  }
  return true;
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

  Collector<A> collector(plan, memory, work, sampled_bound<G, A>(plan, step, memory, work));
  std::size_t processed = 0;
  work.header->finite = for_each_chunk(
      plan, collector, processed,
      [&](std::size_t begin, std::size_t size, const Appender<A>& out, Bits<A> bound) {
        return run_chunk(simd.accumulate(Tag<G>{}), simd_portable.accumulate(Tag<G>{}), size,
                         gradient + begin, residual + begin, size, scale, bound, out);
      });
  if (!work.header->finite) {
    undo(plan, step, memory, processed);
    return;
  }
  if (collector.proven()) return;

  work.header->fallbacks = 1;
  Collector<A> all(plan, memory, work, 0);
  for_each_chunk(plan, all, processed,
                 [&](std::size_t begin, std::size_t size, const Appender<A>& out, Bits<A> bound) {
                   return run_chunk(simd.collect(Tag<A>{}), simd_portable.collect(Tag<A>{}), size,
                                    static_cast<const A*>(residual + begin), size, bound, out);
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
