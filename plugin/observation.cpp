#include "observation.hpp"

#include <utility>

#include "sparse_allreduce.hpp"

namespace sparccl {
namespace {

class StopWatch final : public StageClock {
 public:
  void begin(Stream) noexcept override {
    times_.call = begun_++;
    ended_ = false;
    last_ = Clock::now();
  }
  void lap(Stage stage) noexcept override {
    const Clock::time_point now = Clock::now();
    times_.spans[static_cast<std::size_t>(stage)] = {std::exchange(last_, now), now};
  }
  void skip() noexcept override { last_ = Clock::now(); }
  void end() noexcept override { ended_ = true; }
  [[nodiscard]] std::optional<StageTimes> next() noexcept override {
    if (!std::exchange(ended_, false)) return std::nullopt;
    return times_;
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
  if (clock_ == nullptr) clock_ = backend().make_stage_clock();
  stage_listener_ = std::move(listener);
}

void SparseAllreduce::Impl::collect_stage_times() {
  if (clock_ == nullptr) return;
  while (const auto times = clock_->next()) {
    last_seconds_ = times->seconds();
    add(seconds_, last_seconds_);
    if (!stage_listener_) continue;
    try {
      stage_listener_(*times);
    } catch (...) {
    }
  }
}

void SparseAllreduce::Impl::begin_clock(Stream stream) {
  if (clock_ == nullptr) return;
  collect_stage_times();
  clock_->begin(stream);
}

void SparseAllreduce::Impl::skip_clock() {
  if (clock_ != nullptr) clock_->skip();
}

}  // namespace sparccl
