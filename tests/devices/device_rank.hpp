// One rank's side of a test over NCCL: a stream and buffers on its device.
#pragma once

#include <cuda_runtime.h>

#include <gtest/gtest.h>

#include "communicator.hpp"
#include "cuda/runtime.hpp"
#include "simt.hpp"
#include "sparse_allreduce.hpp"
#include "world.hpp"

namespace sparccl::test {

/// Made on the thread of the rank, whose device becomes present.
class DeviceRank {
 public:
  DeviceRank(SparseAllreduce& tensor, int rank)
      : device_(rank),
        tensor_(tensor),
        bytes_(tensor.count() * size_of(tensor.impl().plan().type)) {
    Backend& backend = tensor.impl().communicator().backend();
    gradient_ = backend.allocate(bytes_);
    result_ = backend.allocate(bytes_);
  }

  void set(const Bytes& gradient) {
    tensor_.impl().communicator().backend().upload(gradient_.get(), gradient.data(), bytes_);
  }
  void call(double loss_scale = 1.0) { tensor_(gradient(), result(), loss_scale, stream()); }
  void finish() {
    const cudaError_t code = cudaStreamSynchronize(stream_.get());
    EXPECT_EQ(code, cudaSuccess) << simt::last_fault();
  }
  [[nodiscard]] Bytes get() const {
    Bytes bytes(bytes_);
    tensor_.impl().communicator().backend().download(bytes.data(), result_.get(), bytes_);
    return bytes;
  }

  [[nodiscard]] const void* gradient() const { return gradient_.get(); }
  [[nodiscard]] void* result() const { return result_.get(); }
  [[nodiscard]] cudaStream_t stream() const { return stream_.get(); }

 private:
  cuda::DeviceGuard device_;
  SparseAllreduce& tensor_;
  std::size_t bytes_;
  Backend::Buffer gradient_{nullptr, nullptr}, result_{nullptr, nullptr};
  cuda::OwnStream stream_;
};

[[nodiscard]] inline Bytes gradient_of(const Shape& shape, int rank, std::size_t step) {
  return to_bytes(shape.type,
                  make_data(step % 3 == 2 ? Pattern::few_values : Pattern::gaussian, shape.count,
                            shape.type, 1000 * step + static_cast<std::size_t>(rank)));
}

}  // namespace sparccl::test
