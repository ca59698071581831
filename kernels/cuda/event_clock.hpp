// The times of stages on a CUDA device, by events on the calls' streams.
#pragma once

#include <array>
#include <vector>

#include "cuda/runtime.hpp"
#include "stage_clock.hpp"

namespace sparccl::cuda {

/// Measures eager calls alone: an event inside of a graph has no time. Of calls that are not done
/// yet, `calls_under_way` are measured, and later ones not.
class EventClock final : public StageClock {
 public:
  static constexpr std::size_t calls_under_way = 16;

  /// device: the present one. stream: idle, of it; waits for it, once, to learn the host's time of
  /// a moment on the device.
  EventClock(int device, cudaStream_t stream);

  void begin(Stream stream) noexcept override;
  void lap(sparccl::Stage stage) noexcept override;
  void skip() noexcept override;
  void end() noexcept override;
  [[nodiscard]] const StageTimes* next() noexcept override;

 private:
  static constexpr std::size_t most_marks = 2 * StageTimes::most_spans;
  struct Lap {
    sparccl::Stage stage = sparccl::Stage::wait;
    std::size_t begin = 0, end = 0;  // marks
  };
  struct Call {
    std::uint64_t number = 0;
    std::size_t marks = 0;
    std::vector<Event> events;  // [most_marks]
    std::array<Lap, StageTimes::most_spans> laps{};
    std::size_t size = 0;  // laps
  };

  std::size_t mark() noexcept;
  void hand_out(Call& call);

  int device_;
  Event anchor_{true};  // a moment that both clocks know
  std::chrono::steady_clock::time_point anchor_time_;
  std::array<Call, calls_under_way> calls_;
  std::size_t oldest_ = 0;
  std::size_t ended_ = 0;  // calls from the oldest on
  std::uint64_t begun_ = 0;
  StageTimes handed_out_;
  Call* now_ = nullptr;            // the one between begin() and end(), if it is measured
  cudaStream_t stream_ = nullptr;  // its
  std::size_t last_mark_ = 0;
};

}  // namespace sparccl::cuda
