#include <algorithm>
#include <cstdio>

#include "api.hpp"

using namespace simt::detail;

namespace {

constexpr int threads_at_once = 512;  // of a multiprocessor: few fibers, and several blocks
constexpr int shared_bytes_at_once = 100 * 1024;
constexpr std::size_t device_bytes = std::size_t{80} << 30;

bool is_device(const Machine& m, int device) {
  return device >= 0 && static_cast<std::size_t>(device) < m.devices.size();
}

}  // namespace

cudaError_t cudaGetLastError() {
  const cudaError_t code = cudaPeekAtLastError();
  last_error = cudaSuccess;
  return code;
}

cudaError_t cudaPeekAtLastError() {
  Machine& m = machine();
  const std::scoped_lock lock(m.mutex);
  return sticky(m) != cudaSuccess ? sticky(m) : last_error;
}

cudaError_t cudaDriverGetVersion(int* version) {
  if (version == nullptr) return cudaErrorInvalidValue;
  Machine& m = machine();
  const std::scoped_lock lock(m.mutex);
  *version = m.fail_all == cudaErrorInsufficientDriver ? 0 : CUDART_VERSION;
  return cudaSuccess;
}

cudaError_t cudaRuntimeGetVersion(int* version) {
  if (version == nullptr) return cudaErrorInvalidValue;
  *version = CUDART_VERSION;
  return cudaSuccess;
}

cudaError_t cudaGetDeviceCount(int* count) {
  return call_without_device([&](Machine& m, Lock&) {
    if (count == nullptr) return cudaErrorInvalidValue;
    *count = static_cast<int>(m.devices.size());
    return *count == 0 ? cudaErrorNoDevice : cudaSuccess;
  });
}

cudaError_t cudaSetDevice(int device) {
  return call_without_device([&](Machine& m, Lock&) {
    if (!is_device(m, device)) return cudaErrorInvalidDevice;
    present_device = device;
    return cudaSuccess;
  });
}

cudaError_t cudaGetDevice(int* device) {
  return call_without_device([&](Machine&, Lock&) {
    if (device == nullptr) return cudaErrorInvalidValue;
    *device = present_device;
    return cudaSuccess;
  });
}

cudaError_t cudaDeviceGetAttribute(int* value, cudaDeviceAttr attribute, int device) {
  return call_without_device([&](Machine& m, Lock&) {
    if (value == nullptr) return cudaErrorInvalidValue;
    if (!is_device(m, device)) return cudaErrorInvalidDevice;
    switch (attribute) {
      case cudaDevAttrMaxThreadsPerBlock: *value = 1024; break;
      case cudaDevAttrMaxGridDimX: *value = 0x7fffffff; break;
      case cudaDevAttrMaxSharedMemoryPerBlock:
      case cudaDevAttrMaxSharedMemoryPerBlockOptin: *value = 48 * 1024; break;
      case cudaDevAttrWarpSize: *value = 32; break;
      case cudaDevAttrMultiProcessorCount: *value = m.multiprocessors; break;
      case cudaDevAttrL2CacheSize: *value = 4 << 20; break;
      case cudaDevAttrMaxThreadsPerMultiProcessor: *value = threads_at_once; break;
      case cudaDevAttrComputeCapabilityMajor: *value = 9; break;
      case cudaDevAttrComputeCapabilityMinor: *value = 0; break;
      case cudaDevAttrMaxSharedMemoryPerMultiprocessor: *value = shared_bytes_at_once; break;
      case cudaDevAttrPageableMemoryAccess:
      case cudaDevAttrHostNativeAtomicSupported: *value = 0; break;
      case cudaDevAttrCanMapHostMemory:
      case cudaDevAttrConcurrentKernels:
      case cudaDevAttrUnifiedAddressing:
      case cudaDevAttrCanUseHostPointerForRegisteredMem:
      case cudaDevAttrCooperativeLaunch: *value = 1; break;
      default: return cudaErrorInvalidValue;
    }
    return cudaSuccess;
  });
}

cudaError_t cudaGetDeviceProperties(cudaDeviceProp* properties, int device) {
  return call_without_device([&](Machine& m, Lock&) {
    if (properties == nullptr) return cudaErrorInvalidValue;
    if (!is_device(m, device)) return cudaErrorInvalidDevice;
    *properties = {};
    std::snprintf(properties->name, sizeof properties->name, "stand-in %d", device);
    properties->uuid.bytes[0] = static_cast<char>(device + 1);
    properties->totalGlobalMem = device_bytes;
    properties->sharedMemPerBlock = 48 * 1024;
    properties->warpSize = 32;
    properties->maxThreadsPerBlock = 1024;
    properties->major = 9;
    properties->multiProcessorCount = m.multiprocessors;
    properties->maxThreadsPerMultiProcessor = threads_at_once;
    properties->cooperativeLaunch = 1;
    properties->unifiedAddressing = 1;
    properties->canMapHostMemory = 1;
    return cudaSuccess;
  });
}

cudaError_t cudaDeviceSynchronize() {
  return call([](Machine& m, Lock& lock) {
    bool captured = false;
    for (const StreamPointer& each : m.devices[static_cast<std::size_t>(present_device)].streams) {
      if (each->capture == nullptr) continue;
      each->capture->invalid = true;
      captured = true;
    }
    if (!m.allows_unsafe_calls() || captured) return cudaErrorStreamCaptureUnsupported;
    count_synchronisation(m);
    m.drain_device(lock, present_device);
    return cudaSuccess;
  });
}

cudaError_t cudaMemGetInfo(std::size_t* free_bytes, std::size_t* total_bytes) {
  return call([&](Machine&, Lock&) {
    if (free_bytes == nullptr || total_bytes == nullptr) return cudaErrorInvalidValue;
    simt::Live live;
    memory().count(live);
    *total_bytes = device_bytes;
    *free_bytes = device_bytes - std::min(device_bytes, live.device_bytes);
    return cudaSuccess;
  });
}

cudaError_t cudaOccupancyMaxActiveBlocksPerMultiprocessor(int* blocks, const void* kernel,
                                                          int threads, std::size_t shared_bytes) {
  return call([&](Machine&, Lock&) {
    if (blocks == nullptr || threads <= 0) return cudaErrorInvalidValue;
    if (kernel == nullptr) return cudaErrorInvalidDeviceFunction;
    *blocks = blocks_at_once(static_cast<unsigned>(threads), shared_bytes);
    return cudaSuccess;
  });
}

cudaError_t cudaFuncGetAttributes(cudaFuncAttributes* attributes, const void* kernel) {
  return call([&](Machine&, Lock&) {
    if (attributes == nullptr) return cudaErrorInvalidValue;
    if (kernel == nullptr) return cudaErrorInvalidDeviceFunction;
    *attributes = {0, 1024, 32};
    return cudaSuccess;
  });
}

namespace simt::detail {

int blocks_at_once(unsigned threads, std::size_t shared_bytes) {
  if (threads == 0 || threads > 1024 || shared_bytes > 48 * 1024) return 0;
  const auto by_threads = std::max(1u, static_cast<unsigned>(threads_at_once) / threads);
  const auto by_shared = shared_bytes == 0 ? 32 : shared_bytes_at_once / shared_bytes;
  return static_cast<int>(std::min<std::size_t>({by_threads, by_shared, 32}));
}

}  // namespace simt::detail
