#include "observation.hpp"

#include <utility>

#include "sparse_allreduce.hpp"

namespace sparccl {
namespace {

class StopWatch final : public StageClock {
 public:
  void begin(Stream) noexcept override {
    times_.call = begun_++;
    times_.size = 0;
    ended_ = false;
    last_ = Clock::now();
  }
  void lap(Stage stage) noexcept override {
    const Clock::time_point now = Clock::now();
    if (times_.size == StageTimes::most_spans) return;
    times_.spans[times_.size++] = {stage, std::exchange(last_, now), now};
  }
  void skip() noexcept override { last_ = Clock::now(); }
  void end() noexcept override { ended_ = true; }
  [[nodiscard]] const StageTimes* next() noexcept override {
    return std::exchange(ended_, false) ? &times_ : nullptr;
  }

 private:
  using Clock = std::chrono::steady_clock;
  StageTimes times_;
  std::uint64_t begun_ = 0;
  bool ended_ = false;
  Clock::time_point last_;
};

}  // namespace

void add(StageSeconds& sum, const StageSeconds& seconds) noexcept {
  sum.wait += seconds.wait;
  sum.accumulate += seconds.accumulate;
  sum.select += seconds.select;
  sum.pack += seconds.pack;
  sum.exchange += seconds.exchange;
  sum.merge += seconds.merge;
}

std::unique_ptr<StageClock> make_stop_watch() { return std::make_unique<StopWatch>(); }

void SparseAllreduce::Impl::measure_stages(StageListener listener) {
  require_no_call_in_group();
  if (observer_.clock() == nullptr) observer_.clock() = backend().make_stage_clock();
  stage_listener_ = std::move(listener);
}

void SparseAllreduce::Impl::collect_stage_times() {
  if (observer_.clock() == nullptr) return;
  while (const StageTimes* const times = observer_.clock()->next()) {
    last_seconds_ = times->seconds();
    add(seconds_, last_seconds_);
    if (!stage_listener_) continue;
    try {
      stage_listener_(*times);
    } catch (...) {
    }
  }
}

}  // namespace sparccl
