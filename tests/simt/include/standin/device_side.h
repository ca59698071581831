// What .cu files say that C++ does not: qualifiers, the thread's place in the grid, the barrier.
//
// __shared__ is left out on purpose: shared memory goes through shared_memory<T>().
#pragma once

#define __global__
#define __device__
#define __host__
#define __forceinline__ inline
#define __launch_bounds__(...)

struct uint2 {
  unsigned x, y;
};
struct uint3 {
  unsigned x, y, z;
};
struct alignas(16) uint4 {
  unsigned x, y, z, w;
};
struct dim3 {
  unsigned x = 1, y = 1, z = 1;
  constexpr dim3() = default;
  // NOLINTNEXTLINE(google-explicit-constructor): CUDA's converts too
  constexpr dim3(unsigned of_x, unsigned of_y = 1, unsigned of_z = 1) : x(of_x), y(of_y), z(of_z) {}
};

// The scheduler sets these before it resumes a fiber. A thread's fibers stay on that thread.
extern constinit thread_local uint3 threadIdx __attribute__((tls_model("initial-exec")));
extern constinit thread_local uint3 blockIdx __attribute__((tls_model("initial-exec")));
extern constinit thread_local dim3 blockDim __attribute__((tls_model("initial-exec")));
extern constinit thread_local dim3 gridDim __attribute__((tls_model("initial-exec")));

void __syncthreads();

// CUDA still declares these of 2009: a call that would be ambiguous there is so here.
bool any(bool) = delete;
bool all(bool) = delete;
unsigned ballot(bool) = delete;
