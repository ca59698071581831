// Kernels that are wrong on purpose: the stand-in must catch each of them.
#include <stdexcept>

#include "cuda/device.hpp"
#include "cuda/launch.hpp"
#include "kernels.hpp"

namespace simt::test {

namespace {

using namespace sparccl::cuda;
using sparccl::cuda::any;  // CUDA has old ones of these names
using sparccl::cuda::ballot;

struct Row {
  std::uint32_t at[256];
};

__global__ void pass_right_kernel(const std::uint32_t* in, std::uint32_t* out) {
  Row& shared = shared_memory<Row>();
  shared.at[threadIdx.x] = load(in + threadIdx.x);
  // missing: __syncthreads()
  store(out + threadIdx.x, shared.at[(threadIdx.x + 255) % 256]);
}

__global__ void pass_right_in_warp_kernel(const std::uint32_t* in, std::uint32_t* out) {
  Row& shared = shared_memory<Row>();
  shared.at[threadIdx.x] = load(in + threadIdx.x);
  // missing: warp_barrier()
  store(out + threadIdx.x, shared.at[threadIdx.x / 32 * 32 + (lane() + 31) % 32]);
}

__global__ void sum_into_unset_shared_kernel(std::uint32_t* out) {
  Row& shared = shared_memory<Row>();
  atomic_add(&shared.at[0], 1u);
  __syncthreads();
  if (threadIdx.x == 0) store(out, shared.at[0]);
}

__global__ void tile_one_off_kernel(std::uint32_t* out, std::size_t count) {
  const std::size_t i = std::size_t{blockIdx.x} * blockDim.x + threadIdx.x;
  if (i < count) store(out + i + 1, 1u);
}

__global__ void load_only_kernel(const std::uint32_t* in, std::uint32_t* out) {
  store(out + threadIdx.x, load(in + threadIdx.x));
}

__global__ void load_vector_kernel(const std::uint32_t* in, std::uint32_t* out) {
  store(out, load(reinterpret_cast<const Vector<std::uint32_t, 4>*>(in)).at[0]);
}

/// Tells whether a thread that a fault ends still destroys what it holds.
struct Guard {
  static inline int alive = 0;
  Guard() { ++alive; }
  ~Guard() { --alive; }
};

__global__ void half_at_barrier_kernel(bool ends) {
  const Guard guard;
  if (warp() < warps() / 2) {
    __syncthreads();
  } else if (!ends) {
    any(true);
    if (lane() == 31) throw std::runtime_error("the other half does not come");
  }
}

__global__ void half_at_ballot_kernel(Elsewhere other) {
  if (lane() < 16) {
    ballot(true);
    return;
  }
  switch (other) {
    case Elsewhere::end: return;
    case Elsewhere::barrier: __syncthreads(); return;
    case Elsewhere::shuffle: shuffle(1u, 0); return;
    case Elsewhere::warp_barrier: warp_barrier(); return;
  }
}

__global__ void grid_barrier_of_some_kernel(std::uint32_t* arrived) {
  if (blockIdx.x != 0) grid_barrier(arrived);
}
__global__ void grid_barrier_kernel(std::uint32_t* arrived) { grid_barrier(arrived); }
__global__ void nothing_kernel() {}
__global__ void throws_kernel() { throw std::runtime_error("thrown on purpose"); }
__global__ void wrong_shared_kernel() { shared_memory<Row>().at[0] = 0; }

}  // namespace

void pass_right_without_barrier(const std::uint32_t* in, std::uint32_t* out, cudaStream_t s) {
  launch<Row>({"pass_right", s, 1, 256}, pass_right_kernel, in, out);
}
void pass_right_in_warp_without_barrier(const std::uint32_t* in, std::uint32_t* out,
                                        cudaStream_t s) {
  launch<Row>({"pass_right_in_warp", s, 1, 256}, pass_right_in_warp_kernel, in, out);
}
void sum_into_unset_shared(std::uint32_t* out, cudaStream_t s) {
  launch<Row>({"sum_into_unset_shared", s, 1, 64}, sum_into_unset_shared_kernel, out);
}
void tile_one_off(std::uint32_t* out, std::size_t count, cudaStream_t s) {
  launch({"tile_one_off", s, (count + 63) / 64, 64}, tile_one_off_kernel, out, count);
}
void load_only(const std::uint32_t* in, std::uint32_t* out, cudaStream_t s) {
  launch({"load_only", s, 1, 32}, load_only_kernel, in, out);
}
void load_vector(const std::uint32_t* in, std::uint32_t* out, cudaStream_t s) {
  launch({"load_vector", s, 1, 32}, load_vector_kernel, in, out);
}
void half_at_barrier(bool ends, cudaStream_t s) {
  launch({"half_at_barrier", s, 2, 128}, half_at_barrier_kernel, ends);
}
int guards_alive() { return Guard::alive; }
void half_at_ballot(Elsewhere other, cudaStream_t s) {
  launch({"half_at_ballot", s, 1, 32}, half_at_ballot_kernel, other);
}
void grid_barrier_of_some(std::uint32_t* arrived, cudaStream_t s) {
  launch_cooperative({"grid_barrier_of_some", s, 2, 32}, grid_barrier_of_some_kernel, arrived);
}
void grid_barrier_uncooperative(std::uint32_t* arrived, cudaStream_t s) {
  launch({"grid_barrier_uncooperative", s, 2, 32}, grid_barrier_kernel, arrived);
}
void odd_block(cudaStream_t s) { launch({"odd_block", s, 1, 33}, nothing_kernel); }
void throws(cudaStream_t s) { launch({"throws", s, 3, 64}, throws_kernel); }
void wrong_shared(cudaStream_t s) { launch({"wrong_shared", s, 1, 32}, wrong_shared_kernel); }
void too_many_threads(cudaStream_t s) { launch({"too_many_threads", s, 1, 1056}, nothing_kernel); }
void too_many_cooperative(cudaStream_t s) {
  launch_cooperative({"too_many_cooperative", s, cooperative_blocks(nothing_kernel, 256) + 1, 256},
                     nothing_kernel);
}

}  // namespace simt::test
