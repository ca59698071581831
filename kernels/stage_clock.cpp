#include "stage_clock.hpp"

#include <span>

namespace sparccl {

const char* name_of(Stage stage) noexcept {
  switch (stage) {
    case Stage::wait: return "wait";
    case Stage::accumulate: return "accumulate";
    case Stage::select: return "select";
    case Stage::pack: return "pack";
    case Stage::exchange: return "exchange";
    case Stage::merge: return "merge";
  }
  return "an unknown stage";
}

StageSeconds StageTimes::seconds() const noexcept {
  std::array<double, stage_count> sums{};
  for (const Span& span : std::span(spans).first(size)) {
    sums[static_cast<std::size_t>(span.stage)] +=
        static_cast<double>((span.end - span.begin).count());
  }
  using Period = std::chrono::steady_clock::period;
  constexpr double tick = static_cast<double>(Period::num) / Period::den;
  for (double& sum : sums) sum *= factor * tick;
  return {sums[0], sums[1], sums[2], sums[3], sums[4], sums[5]};
}

}  // namespace sparccl
