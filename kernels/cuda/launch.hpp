// The one way to start a kernel. tests/simt has the same functions for the CPU.
#pragma once

#include <cuda_runtime.h>

#include <cstddef>
#include <type_traits>

#include "cuda/runtime.hpp"

namespace sparccl::cuda {

/// Of a kernel without shared memory.
struct NoShared {};

template <class Shared>
inline constexpr std::size_t shared_bytes = std::is_empty_v<Shared> ? 0 : sizeof(Shared);

/// Where a kernel goes, and what it is called when it fails.
struct Launch {
  const char* kernel;
  cudaStream_t stream = nullptr;
  std::size_t blocks = 1;
  unsigned threads = 256;
};

namespace detail {
template <class Shared, class... Parameters>
void start(const Launch& where, bool cooperative, void (*kernel)(Parameters...),
           Parameters... arguments) {
  static_assert(shared_bytes<Shared> <= 48 * 1024, "more has to be asked for, kernel by kernel");
  void* list[] = {static_cast<void*>(&arguments)...};
  cudaLaunchAttribute attribute{};
  attribute.id = cudaLaunchAttributeCooperative;
  attribute.val.cooperative = cooperative ? 1 : 0;
  cudaLaunchConfig_t config{};
  config.gridDim = dim3(static_cast<unsigned>(where.blocks));
  config.blockDim = dim3(where.threads);
  config.dynamicSmemBytes = shared_bytes<Shared>;
  config.stream = where.stream;
  config.attrs = &attribute;
  config.numAttrs = cooperative ? 1 : 0;
  check_launch(cudaLaunchKernelExC(&config, reinterpret_cast<const void*>(kernel), list),
               where.kernel);
}
}  // namespace detail

/// kernel<<<blocks, threads, shared, stream>>>(arguments...). Throws Error(unhandled_cuda_error)
/// that names the kernel.
template <class Shared = NoShared, class... Parameters>
void launch(const Launch& where, void (*kernel)(Parameters...),
            std::type_identity_t<Parameters>... arguments) {
  detail::start<Shared, Parameters...>(where, false, kernel, arguments...);
}

/// The same, all blocks at once, so that they may meet in grid_barrier(). where.blocks: at most
/// cooperative_blocks().
template <class Shared = NoShared, class... Parameters>
void launch_cooperative(const Launch& where, void (*kernel)(Parameters...),
                        std::type_identity_t<Parameters>... arguments) {
  detail::start<Shared, Parameters...>(where, true, kernel, arguments...);
}

/// Blocks of this kernel that the present device runs at once.
template <class Shared = NoShared, class... Parameters>
std::size_t cooperative_blocks(void (*kernel)(Parameters...), unsigned threads) {
  int device = 0, multiprocessors = 0, each = 0;
  check(cudaGetDevice(&device));
  check(cudaDeviceGetAttribute(&multiprocessors, cudaDevAttrMultiProcessorCount, device));
  check(cudaOccupancyMaxActiveBlocksPerMultiprocessor(&each, reinterpret_cast<const void*>(kernel),
                                                      static_cast<int>(threads),
                                                      shared_bytes<Shared>));
  return static_cast<std::size_t>(multiprocessors) * static_cast<std::size_t>(each);
}

}  // namespace sparccl::cuda
