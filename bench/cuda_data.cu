#include "cuda_data.hpp"

#include "cuda/runtime.hpp"

namespace sparccl::bench {
namespace {

constexpr unsigned threads = 256;

/// One of 2^64 numbers a pair (splitmix64).
__device__ std::uint64_t hash(std::uint64_t seed, std::uint64_t i) {
  std::uint64_t x = seed * 0xd1342543de82ef95u + i * 0x9e3779b97f4a7c15u;
  x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9u;
  x = (x ^ (x >> 27)) * 0x94d049bb133111ebu;
  return x ^ (x >> 31);
}

__device__ float normal(std::uint64_t seed, std::uint64_t i) {
  const std::uint64_t bits = hash(seed, i);
  const float u = (static_cast<float>(bits >> 40) + 1.0f) * 0x1p-24f;
  const float v = static_cast<float>(bits & 0xffffffu) * 0x1p-24f;
  return sqrtf(-2.0f * logf(u)) * cospif(2.0f * v);
}

struct Normal {
  std::uint64_t seed;
  __device__ float operator()(std::size_t i) const { return normal(seed, i); }
};

struct Constant {
  float value;
  __device__ float operator()(std::size_t) const { return value; }
};

struct Training {
  std::uint64_t rank, step;
  float factor;
  __device__ float operator()(std::size_t i) const {
    constexpr std::uint64_t of_scales = 99;
    const float stays = 0.5f * normal(1000 + rank, i);
    const float changes = normal(1'000'000 * (rank + 1) + step, i);
    return factor * (stays + changes) * expf(normal(of_scales, i));
  }
};

struct Sparse {
  std::uint64_t seed, threshold;
  __device__ float operator()(std::size_t i) const {
    return hash(seed + 1, i) < threshold ? normal(seed, i) : 0.0f;
  }
};

template <class F>
__global__ void fill_kernel(float* to, std::size_t count, F value) {
  const std::size_t stride = static_cast<std::size_t>(gridDim.x) * threads;
  for (std::size_t i = static_cast<std::size_t>(blockIdx.x) * threads + threadIdx.x; i < count;
       i += stride) {
    to[i] = value(i);
  }
}

template <class F>
void fill(float* to, std::size_t count, F value, cudaStream_t stream) {
  const std::size_t blocks = (count + threads - 1) / threads;
  fill_kernel<<<static_cast<unsigned>(blocks < 4096 ? blocks : 4096), threads, 0, stream>>>(
      to, count, value);
  cuda::check_launch(cudaGetLastError(), "fill_kernel");
}

__global__ void spread_step_kernel(const std::uint64_t* from, std::uint64_t* const* to,
                                   unsigned count) {
  for (unsigned i = threadIdx.x; i < count; i += blockDim.x) *to[i] = *from;
}

}  // namespace

void fill_normal(float* to, std::size_t count, std::uint64_t seed, cudaStream_t stream) {
  fill(to, count, Normal{seed}, stream);
}
void fill_constant(float* to, std::size_t count, float value, cudaStream_t stream) {
  fill(to, count, Constant{value}, stream);
}
void fill_training(float* to, std::size_t count, std::uint64_t rank, std::uint64_t step,
                   float factor, cudaStream_t stream) {
  fill(to, count, Training{rank, step, factor}, stream);
}
void fill_sparse(float* to, std::size_t count, std::uint64_t seed, double share,
                 cudaStream_t stream) {
  fill(to, count, Sparse{seed, static_cast<std::uint64_t>(share * 0x1p64)}, stream);
}

void spread_step(const std::uint64_t* from, std::uint64_t* const* to, unsigned count,
                 cudaStream_t stream) {
  spread_step_kernel<<<1, 32, 0, stream>>>(from, to, count);
  cuda::check_launch(cudaGetLastError(), "spread_step_kernel");
}

}  // namespace sparccl::bench
