// How long the stages of a tensor's calls took.
#pragma once

#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>

#include <sparccl/sparccl.hpp>

namespace sparccl {

/// The members of StageSeconds, in their order, which is that of a call.
enum class Stage : std::uint8_t { wait, accumulate, select, pack, exchange, merge };
inline constexpr std::size_t stage_count = 6;
[[nodiscard]] const char* name_of(Stage stage) noexcept;

/// When the stages of a call ran, in the host's time. A device's clock was set by the host's when
/// measuring began, and has drifted since.
struct StageTimes {
  struct Span {
    Stage stage = Stage::wait;
    std::chrono::steady_clock::time_point begin, end;
  };
  static constexpr std::size_t most_spans = 16;
  std::uint64_t call = 0;  // how many the clock had seen begin before this one
  // [size] in order. In a Group other calls' stages lie between. A stage may come several times.
  std::array<Span, most_spans> spans;
  std::size_t size = 0;
  double factor = 1;  // of the spans: a call that took so many times as long, in the same shares
  [[nodiscard]] StageSeconds seconds() const noexcept;
};

/// Of one tensor, whose calls do not overlap: begin(), a lap() after each stage, end().
/// Nothing waits, allocates or fails; what cannot be measured goes unmeasured. A call that begins
/// forgets one that has not ended.
class StageClock {
 public:
  virtual ~StageClock() = default;
  virtual void begin(Stream stream) noexcept = 0;
  /// The stage lasted from begin(), or the last lap() or skip(), until what is enqueued by now.
  virtual void lap(Stage stage) noexcept = 0;
  /// What was enqueued since then is no stage of this call.
  virtual void skip() noexcept = 0;
  virtual void end() noexcept = 0;
  /// The oldest call that has ended, is done and was not handed out before, or null. There until
  /// next() or begin().
  [[nodiscard]] virtual const StageTimes* next() noexcept = 0;
};

}  // namespace sparccl
