// The end of a step: verdict, report, counters.
#pragma once

#include "cuda/workspace.hpp"

namespace sparccl::cuda {

/// What a step's verdict is written to.
struct StepEnd {
  std::uint64_t* step;
  std::uint64_t* call;
  Report* totals;
  Report* report;
  Trouble* trouble;  // or null
  std::uint32_t tensor;
  std::uint64_t wire_bytes, dense_bytes;

  StepEnd(const Step& of, const Memory& memory)
      : step(memory.step),
        call(memory.call),
        totals(memory.totals),
        report(memory.report),
        trouble(of.trouble),
        tensor(of.tensor),
        wire_bytes(of.wire_bytes),
        dense_bytes(of.dense_bytes) {}
};

__device__ inline void tell(const StepEnd& end, const Verdict& verdict) {
  Trouble* const trouble = end.trouble;
  auto* const kind = reinterpret_cast<std::uint32_t*>(&trouble->kind);
  if (compare_and_swap_system(kind, 0, Trouble::being_written) != 0) return;
  store(&trouble->rank, verdict.rank);
  store(&trouble->problem, verdict.problem);
  store(&trouble->tensor, end.tensor);
  fence_system();
  store(kind, static_cast<std::uint32_t>(verdict.kind));
}

/// Adds, and shows the host what it comes to. The host's memory is never read: that takes as long
/// as a kernel.
__device__ inline void add(std::uint64_t* total, std::uint64_t* shown, std::uint64_t value) {
  const std::uint64_t sum = load(total) + value;
  store(total, sum);
  store(shown, sum);
}

/// By one thread. sent: entries of this rank.
__device__ inline void conclude(const StepEnd& end, Header* header, const Verdict& verdict,
                                std::uint64_t sent) {
  store(&header->verdict.kind, verdict.kind);
  Report* const report = end.report;
  store(&report->verdict.kind, verdict.kind);
  store(&report->verdict.rank, verdict.rank);
  store(&report->verdict.problem, verdict.problem);
  if (verdict.kind == Verdict::Kind::sum || verdict.kind == Verdict::Kind::non_finite) {
    const std::uint64_t candidates = load(&header->passed);
    Report* const totals = end.totals;
    add(&totals->steps, &report->steps, 1);
    add(&totals->non_finite_steps, &report->non_finite_steps,
        verdict.kind == Verdict::Kind::non_finite ? 1 : 0);
    add(&totals->entries, &report->entries, sent);
    add(&totals->candidates, &report->candidates, candidates);
    add(&totals->fallbacks, &report->fallbacks, load(&header->fallbacks));
    add(&totals->wire_bytes, &report->wire_bytes, end.wire_bytes);
    add(&totals->dense_bytes, &report->dense_bytes, end.dense_bytes);
    store(&report->last_entries, sent);
    store(&report->last_candidates, candidates);
  }
  if (verdict.kind == Verdict::Kind::sum) store(end.step, load(end.step) + 1);
  store(end.call, load(end.call) + 1);
  if (verdict.kind == Verdict::Kind::bad_packet && end.trouble != nullptr) tell(end, verdict);
}

/// What the packets of a step came to, by one thread, when all have been seen. bad and non_finite:
/// of header->worst and header->first_non_finite, which packets may set again.
template <class Bad, class NonFinite>
__device__ Verdict take_verdict(Header* header, Bad bad, NonFinite non_finite) {
  constexpr std::uint64_t none = ~std::uint64_t{0};
  const std::uint64_t worst = load_shared(&header->worst);
  const std::uint64_t first_non_finite = load_shared(&header->first_non_finite);
  store(&header->worst, none);
  store(&header->first_non_finite, none);
  if (worst != none) return bad(worst);
  if (first_non_finite != none) return non_finite(first_non_finite);
  return {Verdict::Kind::sum, -1, Problem::none};
}

/// Begins a step of Path::dense, which knows no candidates; by one thread.
__device__ inline void reset_counts(Header* header, bool refused) {
  store(&header->candidates, std::uint64_t{0});
  store(&header->passed, std::uint64_t{0});
  store(&header->fallbacks, std::uint64_t{0});
  store(&header->picked, std::uint64_t{0});
  store(&header->non_finite, 0u);
  store(&header->refused, refused ? 1u : 0u);
  store(&header->stage, Stage::idle);
}

}  // namespace sparccl::cuda
