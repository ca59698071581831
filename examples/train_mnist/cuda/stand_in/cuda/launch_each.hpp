// The stand-in's side of cuda/launch_each.hpp: one thread after the other.
#pragma once

#include <cuda_runtime.h>

#include <cstddef>
#include <type_traits>

namespace mnist::cuda {

template <class... Parameters>
void launch_each(std::size_t size, cudaStream_t, void (*kernel)(std::size_t, Parameters...),
                 std::type_identity_t<Parameters>... arguments) {
  blockDim.x = 32;
  for (std::size_t block = 0; block * blockDim.x < size; ++block) {
    blockIdx.x = static_cast<unsigned>(block);
    for (threadIdx.x = 0; threadIdx.x < blockDim.x; ++threadIdx.x) kernel(size, arguments...);
  }
}

}  // namespace mnist::cuda
