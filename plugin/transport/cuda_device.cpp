#include "transport/cuda_device.hpp"

#include <cuda_runtime.h>

#include <string>

#include <sparccl/types.hpp>

namespace sparccl {
namespace {

std::string show(int version) {
  return std::to_string(version / 1000) + "." + std::to_string(version % 1000 / 10);
}

}  // namespace

void require_cuda() {
  int driver = 0;
  int runtime = 0;
  if (cudaDriverGetVersion(&driver) != cudaSuccess) driver = 0;
  if (cudaRuntimeGetVersion(&runtime) != cudaSuccess) runtime = CUDART_VERSION;
  if (driver == 0) {
    throw Error(Result::system_error, "CUDA: expected a driver for CUDA " +
                                          show(runtime / 1000 * 1000) +
                                          " or later, found no CUDA driver");
  }
  // A driver serves every runtime of its major version and of earlier ones.
  if (driver / 1000 < runtime / 1000) {
    throw Error(Result::system_error, "CUDA: expected a driver for CUDA " +
                                          show(runtime / 1000 * 1000) +
                                          " or later, found one for CUDA " + show(driver));
  }
  int devices = 0;
  const cudaError_t code = cudaGetDeviceCount(&devices);
  if (code == cudaSuccess && devices > 0) return;
  static_cast<void>(cudaGetLastError());
  const std::string why =
      code == cudaSuccess ? "none" : std::string("none: ") + cudaGetErrorString(code);
  throw Error(Result::system_error, "CUDA: expected at least 1 device, found " + why);
}

}  // namespace sparccl
