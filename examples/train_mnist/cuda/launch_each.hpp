// The one place that starts kernels. stand_in has the same for the CPU.
#pragma once

#include <cuda_runtime.h>

#include <cstddef>
#include <type_traits>

#include "cuda/owners.hpp"

namespace mnist::cuda {

/// kernel(size, arguments...) with a thread for each of `size` items, or a few more.
template <class... Parameters>
void launch_each(std::size_t size, cudaStream_t stream, void (*kernel)(std::size_t, Parameters...),
                 std::type_identity_t<Parameters>... arguments) {
  if (size == 0) return;
  constexpr unsigned threads = 256;
  const auto blocks = static_cast<unsigned>((size + threads - 1) / threads);
  kernel<<<blocks, threads, 0, stream>>>(size, arguments...);
  check(cudaGetLastError());
}

}  // namespace mnist::cuda
