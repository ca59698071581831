#include "observation.hpp"

#include <utility>

#include "sparse_allreduce.hpp"

namespace sparccl {
namespace {

class StopWatch final : public StageClock {
 public:
  explicit StopWatch(bool every_call) : every_call_(every_call) {}

  void begin(Stream) noexcept override {
    if (!ended_) short_ = false;  // the last call failed: what is there may be of it
    times_.call = begun_++;
    ended_ = told_ = false;
    skipping_ = short_ && begun_ % short_calls_of_one_timed != 0;
    begin_ = last_ = Clock::now();
    if (!skipping_) times_.size = 0;
  }
  void lap(Stage stage) noexcept override {
    if (skipping_) return;
    const Clock::time_point now = Clock::now();
    if (times_.size == StageTimes::most_spans) return;
    times_.spans[times_.size++] = {stage, std::exchange(last_, now), now};
  }
  void skip() noexcept override {
    if (!skipping_) last_ = Clock::now();
  }
  void end() noexcept override {
    ended_ = true;
    const Clock::duration took = (skipping_ ? Clock::now() : last_) - begin_;
    if (!skipping_) timed_ = took;
    times_.factor = skipping_ ? static_cast<double>(took.count()) / timed_ticks() : 1.0;
    short_ = !every_call_ && took < short_call && timed_.count() > 0;
  }
  [[nodiscard]] const StageTimes* next() noexcept override {
    return ended_ && !std::exchange(told_, true) ? &times_ : nullptr;
  }

 private:
  using Clock = std::chrono::steady_clock;
  static constexpr std::chrono::microseconds short_call{20};
  static constexpr std::uint64_t short_calls_of_one_timed = 16;

  [[nodiscard]] double timed_ticks() const noexcept { return static_cast<double>(timed_.count()); }

  const bool every_call_;
  StageTimes times_;         // of the last call whose stages were timed
  Clock::duration timed_{};  // what it took
  std::uint64_t begun_ = 0;
  bool ended_ = true;
  bool told_ = true;
  bool short_ = false;  // the last call
  bool skipping_ = false;
  Clock::time_point begin_, last_;
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

std::unique_ptr<StageClock> make_stop_watch(bool every_call) {
  return std::make_unique<StopWatch>(every_call);
}

void SparseAllreduce::Impl::measure_stages(StageListener listener) {
  require_no_call_in_group();
  if (observer_.clock() == nullptr) observer_.clock() = backend().make_stage_clock();
  if (!communicator_->asynchronous()) observer_.clock() = make_stop_watch(listener != nullptr);
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
