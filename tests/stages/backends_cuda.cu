// The backend of CUDA devices: on a GPU, or on the stand-in for one (tests/simt).
#include "cuda/cuda_backend.hpp"
#include "cuda/workspace.hpp"
#include "rig.hpp"

namespace sparccl::test {
namespace {

Positions sampled(const Plan& plan, std::uint64_t seed) {
  const std::size_t line =
      plan.type == DataType::float64 ? cuda::line_size<double> : cuda::line_size<float>;
  const cuda::SampleShape shape = cuda::sample_shape(plan);
  Positions positions;
  for (std::size_t g = 0; g < shape.groups; ++g) {
    const std::size_t begin = (g * shape.lines + sampled_line(seed, g, shape.lines)) * line;
    for (std::size_t i = 0; i < line; ++i) positions.push_back(begin + i);
  }
  return positions;
}

}  // namespace

std::vector<BackendCase> backends() { return {{"cuda", make_cuda_backend, sampled, false}}; }

}  // namespace sparccl::test
