// The stand-in's side of kernels/cuda/launch.hpp: the same functions, for the CPU.
#pragma once

#include <cuda_runtime.h>

#include <cstddef>
#include <tuple>
#include <type_traits>

#include "cuda/runtime.hpp"
#include "standin/kernel.h"

namespace sparccl::cuda {

struct NoShared {};

template <class Shared>
inline constexpr std::size_t shared_bytes = std::is_empty_v<Shared> ? 0 : sizeof(Shared);

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
  static_assert((std::is_trivially_copyable_v<Parameters> && ...), "devices get bytes");
  simt::detail::Kernel request{where.kernel,         where.blocks, where.threads,
                               shared_bytes<Shared>, cooperative,  {}};
  request.thread = [kernel, held = std::tuple<Parameters...>(arguments...)] {
    std::apply(kernel, held);
  };
  check_launch(simt::detail::launch(where.stream, std::move(request)), where.kernel);
}
}  // namespace detail

template <class Shared = NoShared, class... Parameters>
void launch(const Launch& where, void (*kernel)(Parameters...),
            std::type_identity_t<Parameters>... arguments) {
  detail::start<Shared, Parameters...>(where, false, kernel, arguments...);
}

template <class Shared = NoShared, class... Parameters>
void launch_cooperative(const Launch& where, void (*kernel)(Parameters...),
                        std::type_identity_t<Parameters>... arguments) {
  detail::start<Shared, Parameters...>(where, true, kernel, arguments...);
}

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
