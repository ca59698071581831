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

/// For calls that block: the host's clock at each lap. A call is done when it ends.
[[nodiscard]] std::unique_ptr<StageClock> make_stop_watch();

}  // namespace sparccl
