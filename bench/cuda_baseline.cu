#include "cuda_baseline.hpp"

#include <thrust/device_ptr.h>
#include <thrust/execution_policy.h>
#include <thrust/functional.h>
#include <thrust/gather.h>
#include <thrust/iterator/constant_iterator.h>
#include <thrust/iterator/counting_iterator.h>
#include <thrust/scatter.h>
#include <thrust/sequence.h>
#include <thrust/sort.h>
#include <thrust/transform.h>

#include <cstdint>
#include <cub/device/device_radix_sort.cuh>
#include <cub/device/device_select.cuh>

#include "cuda/runtime.hpp"

namespace sparccl::bench {
namespace {

/// Device memory that is not initialised.
template <class T>
class Array {
 public:
  explicit Array(std::size_t count) { cuda::check(cudaMalloc(&data_, count * sizeof(T))); }
  ~Array() { static_cast<void>(cudaFree(data_)); }
  Array(const Array&) = delete;
  Array& operator=(const Array&) = delete;
  [[nodiscard]] T* get() const { return static_cast<T*>(data_); }

 private:
  void* data_ = nullptr;
};

/// residual += gradient and keys = bits of |residual|; positions, where there are any, count up.
__global__ void add_and_key(float* residual, const float* gradient, std::uint32_t* keys,
                            std::uint32_t* positions, std::size_t count) {
  const std::size_t i = static_cast<std::size_t>(blockIdx.x) * blockDim.x + threadIdx.x;
  if (i >= count) return;
  const float sum = residual[i] + gradient[i];
  residual[i] = sum;
  keys[i] = __float_as_uint(fabsf(sum));
  if (positions != nullptr) positions[i] = static_cast<std::uint32_t>(i);
}

__global__ void take(float* residual, const std::uint32_t* positions, float* values,
                     std::size_t k) {
  const std::size_t i = static_cast<std::size_t>(blockIdx.x) * blockDim.x + threadIdx.x;
  if (i >= k) return;
  values[i] = residual[positions[i]];
  residual[positions[i]] = 0;
}

unsigned blocks_of(std::size_t count) { return static_cast<unsigned>((count + 255) / 256); }

/// Radix sort of all (|a|, position).
class CubSort : public CudaBaseline {
 public:
  CubSort(std::size_t count, std::size_t k)
      : count_(count),
        k_(k),
        keys_{count},
        sorted_{count},
        positions_{count},
        ordered_{count},
        values_(k) {
    cuda::check(sort(nullptr, nullptr));
    cuda::check(cudaMalloc(&scratch_, scratch_bytes_));
  }
  ~CubSort() override { static_cast<void>(cudaFree(scratch_)); }
  const char* name() const override { return "CUB radix sort of pairs"; }
  void run(float* residual, const float* gradient, cudaStream_t stream) override {
    add_and_key<<<blocks_of(count_), 256, 0, stream>>>(residual, gradient, keys_.get(),
                                                       positions_.get(), count_);
    cuda::check(sort(scratch_, stream));
    take<<<blocks_of(k_), 256, 0, stream>>>(residual, ordered_.get(), values_.get(), k_);
    cuda::check_launch(cudaGetLastError(), "take");
  }

 private:
  cudaError_t sort(void* scratch, cudaStream_t stream) {
    return cub::DeviceRadixSort::SortPairsDescending(
        scratch, scratch_bytes_, keys_.get(), sorted_.get(), positions_.get(), ordered_.get(),
        static_cast<int>(count_), 0, 31, stream);
  }

  std::size_t count_, k_;
  Array<std::uint32_t> keys_, sorted_, positions_, ordered_;
  Array<float> values_;
  std::size_t scratch_bytes_ = 0;
  void* scratch_ = nullptr;
};

struct AtLeast {
  const float* residual;
  const std::uint32_t* kth;
  __device__ bool operator()(std::uint32_t i) const {
    return __float_as_uint(fabsf(residual[i])) >= *kth;
  }
};

/// Radix sort of |a| alone for the k-th of them, then what is not below it: one pass less data, and
/// exact but for ties, of which it may keep more than k.
class CubThreshold : public CudaBaseline {
 public:
  CubThreshold(std::size_t count, std::size_t k)
      : count_(count),
        k_(k),
        keys_{count},
        sorted_{count},
        found_{count},
        found_count_{1},
        values_(k) {
    std::size_t one = 0, two = 0;
    cuda::check(sort(nullptr, one, nullptr));
    cuda::check(keep(nullptr, two, nullptr, nullptr));
    scratch_bytes_ = one > two ? one : two;
    cuda::check(cudaMalloc(&scratch_, scratch_bytes_));
  }
  ~CubThreshold() override { static_cast<void>(cudaFree(scratch_)); }
  const char* name() const override { return "CUB radix sort of keys, select"; }
  void run(float* residual, const float* gradient, cudaStream_t stream) override {
    add_and_key<<<blocks_of(count_), 256, 0, stream>>>(residual, gradient, keys_.get(), nullptr,
                                                       count_);
    cuda::check(sort(scratch_, scratch_bytes_, stream));
    cuda::check(keep(scratch_, scratch_bytes_, residual, stream));
    take<<<blocks_of(k_), 256, 0, stream>>>(residual, found_.get(), values_.get(), k_);
    cuda::check_launch(cudaGetLastError(), "take");
  }

 private:
  cudaError_t sort(void* scratch, std::size_t& bytes, cudaStream_t stream) {
    return cub::DeviceRadixSort::SortKeysDescending(scratch, bytes, keys_.get(), sorted_.get(),
                                                    static_cast<int>(count_), 0, 31, stream);
  }
  cudaError_t keep(void* scratch, std::size_t& bytes, const float* residual, cudaStream_t stream) {
    return cub::DeviceSelect::If(scratch, bytes, thrust::make_counting_iterator(std::uint32_t{0}),
                                 found_.get(), found_count_.get(), static_cast<int>(count_),
                                 AtLeast{residual, sorted_.get() + (k_ - 1)}, stream);
  }

  std::size_t count_, k_;
  Array<std::uint32_t> keys_, sorted_, found_, found_count_;
  Array<float> values_;
  std::size_t scratch_bytes_ = 0;
  void* scratch_ = nullptr;
};

struct Magnitude {
  __host__ __device__ float operator()(float x) const { return fabsf(x); }
};

/// The same as five calls of Thrust.
class ThrustSort : public CudaBaseline {
 public:
  ThrustSort(std::size_t count, std::size_t k)
      : count_(count), k_(k), keys_{count}, positions_{count}, values_{k} {}
  const char* name() const override { return "Thrust sort_by_key"; }
  void run(float* residual, const float* gradient, cudaStream_t stream) override {
    const auto policy = thrust::cuda::par_nosync.on(stream);
    const auto a = thrust::device_pointer_cast(residual);
    const auto g = thrust::device_pointer_cast(gradient);
    const auto keys = thrust::device_pointer_cast(keys_.get());
    const auto positions = thrust::device_pointer_cast(positions_.get());
    const auto values = thrust::device_pointer_cast(values_.get());
    const auto n = static_cast<std::ptrdiff_t>(count_), k = static_cast<std::ptrdiff_t>(k_);
    thrust::transform(policy, a, a + n, g, a, thrust::plus<float>());
    thrust::transform(policy, a, a + n, keys, Magnitude{});
    thrust::sequence(policy, positions, positions + n);
    thrust::sort_by_key(policy, keys, keys + n, positions, thrust::greater<float>());
    thrust::gather(policy, positions, positions + k, a, values);
    const auto zeros = thrust::make_constant_iterator(0.0f);
    thrust::scatter(policy, zeros, zeros + k, positions, a);
  }

 private:
  std::size_t count_, k_;
  Array<float> keys_;
  Array<std::uint32_t> positions_;
  Array<float> values_;
};

}  // namespace

std::unique_ptr<CudaBaseline> make_cub_sort(std::size_t count, std::size_t k) {
  return std::make_unique<CubSort>(count, k);
}
std::unique_ptr<CudaBaseline> make_thrust_sort(std::size_t count, std::size_t k) {
  return std::make_unique<ThrustSort>(count, k);
}
std::unique_ptr<CudaBaseline> make_cub_threshold(std::size_t count, std::size_t k) {
  return std::make_unique<CubThreshold>(count, k);
}

}  // namespace sparccl::bench
