// libcuda.so.1 over the stand-in for the runtime: what host communicators ask of a driver.
#include <cuda_runtime.h>

extern "C" __attribute__((visibility("default"))) int cuPointerGetAttribute(
    void* data, int attribute, unsigned long long pointer) {
  constexpr int memory_type = 2, is_managed = 8, device_ordinal = 9;
  cudaPointerAttributes found{};
  if (cudaPointerGetAttributes(&found, reinterpret_cast<const void*>(pointer)) != cudaSuccess ||
      found.type == cudaMemoryTypeUnregistered) {
    return 1;  // CUDA_ERROR_INVALID_VALUE
  }
  switch (attribute) {
    case memory_type:
      *static_cast<unsigned*>(data) = found.type == cudaMemoryTypeDevice ? 2 : 1;
      return 0;
    case is_managed: *static_cast<unsigned*>(data) = 0; return 0;
    case device_ordinal: *static_cast<int*>(data) = found.device; return 0;
    default: return 1;
  }
}
