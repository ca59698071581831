// What users write first: add, take magnitudes, sort, keep the first k, gather, clear.
#pragma once

#include <cuda_runtime.h>

#include <cstddef>
#include <memory>

namespace sparccl::bench {

class CudaBaseline {
 public:
  virtual ~CudaBaseline() = default;
  [[nodiscard]] virtual const char* name() const = 0;
  /// residual += gradient; the k largest by magnitude go, as (position, value), to buffers of its
  /// own, and become 0 in the residual. Asynchronous, but for what Thrust waits for.
  virtual void run(float* residual, const float* gradient, cudaStream_t stream) = 0;
};

/// count: below 2^31. Allocates up to 20 bytes an entry, which its destructor returns.
[[nodiscard]] std::unique_ptr<CudaBaseline> make_cub_sort(std::size_t count, std::size_t k);
[[nodiscard]] std::unique_ptr<CudaBaseline> make_thrust_sort(std::size_t count, std::size_t k);
[[nodiscard]] std::unique_ptr<CudaBaseline> make_cub_threshold(std::size_t count, std::size_t k);

}  // namespace sparccl::bench
