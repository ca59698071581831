// Checked calls of CUDA and cuBLAS, and owners of what they hand out.
#pragma once

#include <cublas_v2.h>
#include <cuda_runtime.h>

#include <cstddef>
#include <source_location>
#include <stdexcept>
#include <string>
#include <utility>

namespace mnist::cuda {

[[noreturn]] inline void fail(const std::string& words, const std::source_location& where) {
  throw std::runtime_error(words + " (" + where.function_name() + ", line " +
                           std::to_string(where.line()) + ")");
}

inline void check(cudaError_t code, std::source_location where = std::source_location::current()) {
  if (code == cudaSuccess) return;
  fail(std::string("CUDA: ") + cudaGetErrorString(code) + ", " + cudaGetErrorName(code), where);
}

inline void check(cublasStatus_t code,
                  std::source_location where = std::source_location::current()) {
  if (code == CUBLAS_STATUS_SUCCESS) return;
  fail(std::string("cuBLAS: ") + cublasGetStatusString(code), where);
}

/// Waits for the default stream on neither side.
class Stream {
 public:
  Stream() { check(cudaStreamCreateWithFlags(&stream_, cudaStreamNonBlocking)); }
  ~Stream() { static_cast<void>(cudaStreamDestroy(stream_)); }
  Stream(const Stream&) = delete;
  Stream& operator=(const Stream&) = delete;
  [[nodiscard]] cudaStream_t get() const noexcept { return stream_; }

 private:
  cudaStream_t stream_ = nullptr;
};

class Event {
 public:
  Event() { check(cudaEventCreate(&event_)); }
  ~Event() { static_cast<void>(cudaEventDestroy(event_)); }
  Event(const Event&) = delete;
  Event& operator=(const Event&) = delete;
  void record(cudaStream_t stream) { check(cudaEventRecord(event_, stream)); }
  /// Returns at once where nothing was recorded.
  void wait() const { check(cudaEventSynchronize(event_)); }
  [[nodiscard]] double seconds_since(const Event& earlier) const {
    float milliseconds = 0;
    check(cudaEventElapsedTime(&milliseconds, earlier.event_, event_));
    return 1e-3 * static_cast<double>(milliseconds);
  }

 private:
  cudaEvent_t event_ = nullptr;
};

class Blas {
 public:
  explicit Blas(cudaStream_t stream) {
    check(cublasCreate(&handle_));
    check(cublasSetStream(handle_, stream));
  }
  ~Blas() { static_cast<void>(cublasDestroy(handle_)); }
  Blas(const Blas&) = delete;
  Blas& operator=(const Blas&) = delete;
  [[nodiscard]] cublasHandle_t get() const noexcept { return handle_; }

 private:
  cublasHandle_t handle_ = nullptr;
};

/// [size] T in device memory, or page-locked in host memory. Not initialised.
template <class T, bool on_device>
class Array {
 public:
  Array() = default;
  explicit Array(std::size_t size) : size_(size) {
    if (size == 0) return;
    void* memory = nullptr;
    check(on_device ? cudaMalloc(&memory, size * sizeof(T))
                    : cudaMallocHost(&memory, size * sizeof(T)));
    data_ = static_cast<T*>(memory);
  }
  ~Array() {
    if (data_ != nullptr) static_cast<void>(on_device ? cudaFree(data_) : cudaFreeHost(data_));
  }
  Array(Array&& other) noexcept
      : data_(std::exchange(other.data_, nullptr)), size_(std::exchange(other.size_, 0)) {}
  Array& operator=(Array&& other) noexcept {
    std::swap(data_, other.data_);
    std::swap(size_, other.size_);
    return *this;
  }

  [[nodiscard]] T* data() const noexcept { return data_; }
  [[nodiscard]] std::size_t size() const noexcept { return size_; }

 private:
  T* data_ = nullptr;
  std::size_t size_ = 0;
};

template <class T>
using DeviceArray = Array<T, true>;
template <class T>
using PinnedArray = Array<T, false>;

/// Enqueued on stream; from and to pageable memory it may wait for it.
template <class T>
void copy(T* to, const T* from, std::size_t count, cudaStream_t stream) {
  if (count == 0) return;
  check(cudaMemcpyAsync(to, from, count * sizeof(T), cudaMemcpyDefault, stream));
}

}  // namespace mnist::cuda
