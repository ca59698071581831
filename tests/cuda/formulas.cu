// Instantiates every formula in a kernel, and on the host side of the same file.
#include <cstddef>

#include "formulas_all.hpp"

namespace sparccl::test {

// Not launched here: a GPU's results are compared where there is a CUDA backend.
__global__ void all_formulas_kernel(const Input* in, Outcome* out, std::size_t count) {
  const std::size_t i = static_cast<std::size_t>(blockIdx.x) * blockDim.x + threadIdx.x;
  if (i < count) out[i] = all_formulas(in[i]);
}

Outcome all_formulas_by_nvcc(const Input& in) { return all_formulas(in); }

}  // namespace sparccl::test
