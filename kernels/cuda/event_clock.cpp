#include "cuda/event_clock.hpp"

namespace sparccl::cuda {
namespace {

using std::chrono::steady_clock;

/// To ask events is forbidden while some stream is captured, though these are in no capture.
class AsIfNothingWereCaptured {
 public:
  AsIfNothingWereCaptured() { swap(); }
  ~AsIfNothingWereCaptured() { swap(); }
  AsIfNothingWereCaptured(const AsIfNothingWereCaptured&) = delete;
  AsIfNothingWereCaptured& operator=(const AsIfNothingWereCaptured&) = delete;

 private:
  void swap() { static_cast<void>(cudaThreadExchangeStreamCaptureMode(&mode_)); }
  cudaStreamCaptureMode mode_ = cudaStreamCaptureModeRelaxed;
};

bool capturing(cudaStream_t stream) {
  cudaStreamCaptureStatus status = cudaStreamCaptureStatusNone;
  check(cudaStreamIsCapturing(stream, &status));
  return status != cudaStreamCaptureStatusNone;
}

bool done(const Event& event) {
  const cudaError_t code = cudaEventQuery(event.get());
  if (code != cudaErrorNotReady) check(code);
  if (code != cudaSuccess) static_cast<void>(cudaGetLastError());
  return code == cudaSuccess;
}

steady_clock::duration between(const Event& from, const Event& to) {
  float milliseconds = 0;
  check(cudaEventElapsedTime(&milliseconds, from.get(), to.get()));
  return std::chrono::duration_cast<steady_clock::duration>(
      std::chrono::duration<double, std::milli>(milliseconds));
}

}  // namespace

EventClock::EventClock(int device, cudaStream_t stream) : device_(device) {
  for (Call& call : calls_) {
    call.events.reserve(most_marks);
    for (std::size_t i = 0; i < most_marks; ++i) call.events.emplace_back(true);
  }
  const AsIfNothingWereCaptured guard;
  const steady_clock::time_point before = steady_clock::now();
  check(cudaEventRecord(anchor_.get(), stream));
  check(cudaEventSynchronize(anchor_.get()));
  anchor_time_ = before + (steady_clock::now() - before) / 2;
}

void EventClock::begin(Stream stream) noexcept try {
  now_ = nullptr;
  const std::uint64_t number = begun_++;
  if (ended_ == calls_under_way) return;
  const DeviceGuard present(device_);
  stream_ = static_cast<cudaStream_t>(stream);
  if (capturing(stream_)) return;
  now_ = &calls_[(oldest_ + ended_) % calls_under_way];
  now_->number = number;
  now_->marks = now_->size = 0;
  last_mark_ = mark();
} catch (...) {
}

std::size_t EventClock::mark() noexcept try {
  if (now_ == nullptr) return 0;
  if (now_->marks == most_marks) {
    now_ = nullptr;
    return 0;
  }
  const DeviceGuard present(device_);
  check(cudaEventRecord(now_->events[now_->marks].get(), stream_));
  return now_->marks++;
} catch (...) {
  now_ = nullptr;
  return 0;
}

void EventClock::lap(sparccl::Stage stage) noexcept {
  const std::size_t end = mark();
  if (now_ == nullptr) return;
  if (now_->size == now_->laps.size()) {
    now_ = nullptr;
    return;
  }
  now_->laps[now_->size++] = {stage, std::exchange(last_mark_, end), end};
}

void EventClock::skip() noexcept { last_mark_ = mark(); }

void EventClock::end() noexcept {
  if (std::exchange(now_, nullptr) != nullptr) ++ended_;
}

const StageTimes* EventClock::next() noexcept {
  while (ended_ != 0) {
    Call& call = calls_[oldest_];
    bool known = false;
    try {
      const DeviceGuard present(device_);
      const AsIfNothingWereCaptured guard;
      if (!done(call.events[call.marks - 1])) return nullptr;
      hand_out(call);
      known = true;
    } catch (...) {  // the device is lost
    }
    oldest_ = (oldest_ + 1) % calls_under_way;
    --ended_;
    if (known) return &handed_out_;
  }
  return nullptr;
}

/// Also makes the call's first event the anchor: CUDA tells times as floats, so that near ones are
/// exact and distant ones are not.
void EventClock::hand_out(Call& call) {
  const Event& first = call.events.front();
  const steady_clock::time_point begin = anchor_time_ + between(anchor_, first);
  StageTimes& times = handed_out_;
  times.call = call.number;
  for (times.size = 0; times.size < call.size; ++times.size) {
    const Lap& lap = call.laps[times.size];
    times.spans[times.size] = {lap.stage, begin + between(first, call.events[lap.begin]),
                               begin + between(first, call.events[lap.end])};
  }
  anchor_time_ = begin;
  std::swap(anchor_, call.events.front());
}

}  // namespace sparccl::cuda
