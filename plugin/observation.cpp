#include "observation.hpp"

#include <algorithm>
#include <utility>

#include "sparse_allreduce.hpp"
#include "ticks.hpp"

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
    if (!skipping_) {
      times_.size = 0;
      begin_ = last_ = Clock::now();
    }
    begin_ticks_ = ticks();
  }
  void lap(Stage stage) noexcept override {
    if (skipping_) return;
    const Clock::time_point now = Clock::now();
    if (times_.size == StageTimes::most_spans) return;
    times_.spans[times_.size++] = {stage, std::exchange(last_, now), now};
  }
  void skip() noexcept override {
    if (skipping_) {
      begin_ticks_ = ticks();  // what was before it are a few stages of a short call
    } else {
      last_ = Clock::now();
    }
  }
  void end() noexcept override {
    ended_ = true;
    // Another processor's counter may be behind: no time then, and the next call is timed.
    const auto took = static_cast<double>(static_cast<std::int64_t>(ticks() - begin_ticks_));
    if (!skipping_) {
      timed_ticks_ = took;
      short_ticks_ = took * (short_call / std::chrono::duration<double>(last_ - begin_));
    }
    times_.factor = skipping_ ? std::max(0.0, took / timed_ticks_) : 1.0;
    short_ = !every_call_ && took > 0 && took < short_ticks_;
  }
  [[nodiscard]] const StageTimes* next() noexcept override {
    return ended_ && !std::exchange(told_, true) ? &times_ : nullptr;
  }

 private:
  using Clock = std::chrono::steady_clock;
  static constexpr std::chrono::duration<double> short_call{20e-6};
  static constexpr std::uint64_t short_calls_of_one_timed = 16;

  const bool every_call_;
  StageTimes times_;        // of the last call whose stages were timed
  double timed_ticks_ = 0;  // what it took
  double short_ticks_ = 0;  // what a short call takes less than
  std::uint64_t begun_ = 0;
  bool ended_ = true;
  bool told_ = true;
  bool short_ = false;  // the last call
  bool skipping_ = false;
  std::uint64_t begin_ticks_ = 0;
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
