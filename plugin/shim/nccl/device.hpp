// What the shim does on a device of the program's, without being noticed.
#pragma once

#include <cuda_runtime.h>

#include <optional>

#include "cuda/runtime.hpp"

namespace sparccl::shim::nccl {

/// Makes a device the present one, and no call of this thread spoil what another thread captures,
/// for as long as it lives. Throws CUDA's errors.
class Present {
 public:
  explicit Present(int device) : device_(device) {
    cuda::check(cudaThreadExchangeStreamCaptureMode(&mode_));
  }
  ~Present() { static_cast<void>(cudaThreadExchangeStreamCaptureMode(&mode_)); }
  Present(const Present&) = delete;
  Present& operator=(const Present&) = delete;

 private:
  cuda::DeviceGuard device_;
  cudaStreamCaptureMode mode_ = cudaStreamCaptureModeRelaxed;
};

/// NCCL carries the calls of a communicator out in their order, whatever their streams. This is so
/// for calls of two communicators.
class StreamOrder {
 public:
  /// Before a call: it comes after the last one.
  void before(cudaStream_t stream) {
    if (last_ && *last_ != stream) cuda::check(cudaStreamWaitEvent(stream, event_.get(), 0));
  }
  /// When it is enqueued.
  void after(cudaStream_t stream) {
    cuda::check(cudaEventRecord(event_.get(), stream));
    last_ = stream;
  }

 private:
  cuda::Event event_;
  std::optional<cudaStream_t> last_;
};

}  // namespace sparccl::shim::nccl
