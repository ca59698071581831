// What observers see of a call: ranges in a profiler, and times of its stages.
#pragma once

#include <memory>

#include "stages.hpp"

namespace sparccl {

/// What the calling thread does while this lives has a name in a profiler.
class Range {
 public:
  Range(Backend& backend, const char* name) noexcept : backend_(backend) {
    backend_.begin_range(name);
  }
  ~Range() { backend_.end_range(); }
  Range(const Range&) = delete;
  Range& operator=(const Range&) = delete;

 private:
  Backend& backend_;
};

void add(StageSeconds& sum, const StageSeconds& seconds) noexcept;

/// For calls that block: the host's clock at each lap. A call is done when it ends. Unless every
/// call is asked for, behind one of less than 20 us only the whole of a call is measured, and its
/// stages take the shares that they last had; every 16th is measured anyway. Reading clocks is a
/// part of such calls that one would see.
[[nodiscard]] std::unique_ptr<StageClock> make_stop_watch(bool every_call);

/// Of one tensor. Profilers are told by ranges, the clock by laps, if there is one.
class Observer {
 public:
  explicit Observer(Backend& backend) : backend_(backend) {}

  [[nodiscard]] Range call(const char* tensor) noexcept { return {backend_, tensor}; }

  template <class Part>
  void in_range(Stage stage, const Part& part) {
    const Range range(backend_, name_of(stage));
    part();
  }
  /// in_range(), and the clock: that was the stage.
  template <class Part>
  void timed(Stage stage, const Part& part) {
    in_range(stage, part);
    lap(stage);
  }
  void begin(Stream stream) noexcept {
    if (clock_ != nullptr) clock_->begin(stream);
  }
  void lap(Stage stage) noexcept {
    if (clock_ != nullptr) clock_->lap(stage);
  }
  void skip() noexcept {
    if (clock_ != nullptr) clock_->skip();
  }
  void end() noexcept {
    if (clock_ != nullptr) clock_->end();
  }

  [[nodiscard]] std::unique_ptr<StageClock>& clock() noexcept { return clock_; }

 private:
  Backend& backend_;
  std::unique_ptr<StageClock> clock_;
};

}  // namespace sparccl
