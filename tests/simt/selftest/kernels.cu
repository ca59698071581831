#include "kernels.hpp"

#include "cuda/device.hpp"
#include "cuda/launch.hpp"

namespace simt::test {

namespace {

using namespace sparccl::cuda;
using sparccl::cuda::any;  // CUDA has old ones of these names
using sparccl::cuda::ballot;

struct PerWarp {
  std::uint32_t sums[32];
};

__global__ void __launch_bounds__(256)
    block_sums_kernel(const std::uint32_t* __restrict__ in, std::uint32_t* __restrict__ sums) {
  PerWarp& shared = shared_memory<PerWarp>();
  std::uint32_t sum = load(in + std::size_t{blockIdx.x} * blockDim.x + threadIdx.x);
  for (unsigned mask = 16; mask != 0; mask /= 2) sum += shuffle_xor(sum, mask);
  if (lane() == 0) shared.sums[warp()] = sum;
  __syncthreads();
  if (warp() != 0) return;
  sum = lane() < warps() ? shared.sums[lane()] : 0;
  for (unsigned delta = 1; delta < warp_size; delta *= 2) {
    const std::uint32_t below = shuffle_up(sum, delta);
    if (lane() >= delta) sum += below;
  }
  if (lane() == warp_size - 1) store(sums + blockIdx.x, sum);
}

struct Bins {
  std::uint32_t of[64];
};

__global__ void histogram_kernel(const std::uint32_t* in, std::size_t count, std::uint32_t* bins,
                                 std::uint32_t* arrived) {
  Bins& shared = shared_memory<Bins>();
  if (threadIdx.x < 64) shared.of[threadIdx.x] = 0;
  __syncthreads();
  const std::size_t all = std::size_t{gridDim.x} * blockDim.x;
  for (std::size_t i = std::size_t{blockIdx.x} * blockDim.x + threadIdx.x; i < count; i += all)
    atomic_add(&shared.of[load_once(in + i)], 1u);
  __syncthreads();
  if (threadIdx.x < 64) atomic_add(bins + threadIdx.x, shared.of[threadIdx.x]);
  grid_barrier(arrived);
  if (blockIdx.x != 0 || threadIdx.x != 0) return;
  std::uint32_t most = 0;
  for (unsigned i = 0; i < 64; ++i) {
    const std::uint32_t bin = load_shared(bins + i);
    most = bin > most ? bin : most;
  }
  store_once(bins + 64, most);
}

__global__ void step_kernel(std::uint32_t* out, std::size_t count, std::uint32_t factor) {
  const std::size_t i = std::size_t{blockIdx.x} * blockDim.x + threadIdx.x;
  if (i < count) store(out + i, (load(out + i) + 1) * factor);
}

__global__ void warp_functions_kernel(std::uint32_t* out) {
  const std::uint32_t own = threadIdx.x * 10;
  std::uint32_t* const mine = out + threadIdx.x * 9;
  store(mine + 0, any(threadIdx.x == 3) ? 1u : 0u);
  store(mine + 1, ballot(threadIdx.x % 3 == 0));
  store(mine + 2, shuffle(own, lane() + 5));
  store(mine + 3, shuffle_up(own, 4));
  store(mine + 4, shuffle_xor(own, 6));
  store(mine + 5, static_cast<std::uint32_t>(shuffle(-1.5 * own, 31)));
  store(mine + 6, static_cast<std::uint32_t>(shuffle(std::uint64_t{own} << 32, 2) >> 32));
  warp_barrier();
  store(mine + 7, popcount(0xf0u) + lowest_bit(0x80u));
  store(mine + 8, lane() + 100 * warp() + 1000 * warps());
}

__global__ void copy_both_ways_kernel(const std::uint32_t* in, std::uint32_t* out) {
  using Four = Vector<std::uint32_t, 4>;
  if (threadIdx.x == 0)
    store(reinterpret_cast<Four*>(out), load(reinterpret_cast<const Four*>(in)));
  if (threadIdx.x < 16) {
    store(reinterpret_cast<unsigned char*>(out + 4) + threadIdx.x,
          load(reinterpret_cast<const unsigned char*>(in + 4) + threadIdx.x));
  }
}

__global__ void atomics_kernel(std::uint32_t* flag, std::uint64_t* least, std::uint32_t* bits) {
  const std::uint32_t before = compare_and_swap_system(flag, 0, threadIdx.x + 1);
  if (before == 0) atomic_min(least, 7);
  atomic_or(bits, 1u << lane());
  fence_system();
}

}  // namespace

void block_sums(const std::uint32_t* in, std::uint32_t* sums, std::size_t blocks, cudaStream_t s) {
  launch<PerWarp>({"block_sums", s, blocks, 256}, block_sums_kernel, in, sums);
}
void histogram(const std::uint32_t* in, std::size_t count, std::uint32_t* bins,
               std::uint32_t* arrived, std::size_t blocks, cudaStream_t s) {
  launch_cooperative<Bins>({"histogram", s, blocks, 128}, histogram_kernel, in, count, bins,
                           arrived);
}
std::size_t histogram_blocks() { return cooperative_blocks<Bins>(histogram_kernel, 128); }
void step(std::uint32_t* out, std::size_t count, std::uint32_t factor, cudaStream_t s) {
  launch({"step", s, (count + 63) / 64, 64}, step_kernel, out, count, factor);
}
void warp_functions(std::uint32_t* out, cudaStream_t s) {
  launch({"warp_functions", s, 1, 64}, warp_functions_kernel, out);
}
void copy_both_ways(const std::uint32_t* in, std::uint32_t* out, cudaStream_t s) {
  launch({"copy_both_ways", s, 1, 32}, copy_both_ways_kernel, in, out);
}
void atomics(std::uint32_t* flag, std::uint64_t* least, std::uint32_t* bits, cudaStream_t s) {
  launch({"atomics", s, 1, 64}, atomics_kernel, flag, least, bits);
}

}  // namespace simt::test
