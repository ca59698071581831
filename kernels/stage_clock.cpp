#include "stage_clock.hpp"

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
  const auto of = [&](Stage stage) {
    const Span& span = spans[static_cast<std::size_t>(stage)];
    return std::chrono::duration<double>(span.end - span.begin).count();
  };
  return {of(Stage::wait), of(Stage::accumulate), of(Stage::select),
          of(Stage::pack), of(Stage::exchange),   of(Stage::merge)};
}

}  // namespace sparccl
