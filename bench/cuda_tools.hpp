// Device memory and events for benchmarks.
#pragma once

#include <cuda_runtime.h>

#include <cstddef>
#include <vector>

#include "cuda/runtime.hpp"
#include "settings.hpp"

namespace sparccl::bench {

/// [count] floats of device memory, not initialised.
class DeviceFloats {
 public:
  explicit DeviceFloats(std::size_t count) : bytes_(count * sizeof(float)) {
    cuda::check(cudaMalloc(&data_, bytes_));
  }
  ~DeviceFloats() { static_cast<void>(cudaFree(data_)); }
  DeviceFloats(const DeviceFloats&) = delete;
  DeviceFloats& operator=(const DeviceFloats&) = delete;
  [[nodiscard]] float* get() const { return static_cast<float*>(data_); }
  [[nodiscard]] std::size_t bytes() const { return bytes_; }

 private:
  void* data_ = nullptr;
  std::size_t bytes_;
};

/// Marks on a stream, and the medians of the times between them.
class Marks {
 public:
  explicit Marks(cudaStream_t stream) : stream_(stream) {}
  /// A mark here. Marks of one repeat follow each other.
  void mark() {
    events_.emplace_back(true);
    cuda::check(cudaEventRecord(events_.back().get(), stream_));
  }
  [[nodiscard]] std::size_t count() const { return events_.size(); }
  /// Milliseconds between marks `from` and `to` of each repeat of `each` marks, leaving out the
  /// first `skipped` repeats. All must have passed.
  [[nodiscard]] std::vector<double> between(std::size_t from, std::size_t to, std::size_t each,
                                            std::size_t skipped) const {
    std::vector<double> all;
    for (std::size_t i = skipped * each; i + each <= events_.size(); i += each) {
      float ms = 0;
      cuda::check(cudaEventElapsedTime(&ms, events_[i + from].get(), events_[i + to].get()));
      all.push_back(static_cast<double>(ms));
    }
    return all;
  }

 private:
  cudaStream_t stream_;
  std::vector<cuda::Event> events_;
};

}  // namespace sparccl::bench
