#include "host/device_memory.hpp"

#include <dlfcn.h>

#include <atomic>
#include <cstdint>

namespace sparccl::host {
namespace {

// Of the driver API, as its documentation states them: CUresult cuPointerGetAttribute(void* data,
// CUpointer_attribute attribute, CUdeviceptr pointer), with an unsigned or an int behind data.
using GetAttribute = int (*)(void* data, int attribute, std::uintptr_t pointer);
constexpr int attribute_memory_type = 2;
constexpr int attribute_is_managed = 8;
constexpr int attribute_device_ordinal = 9;
constexpr unsigned memory_type_device = 2;

std::atomic<GetAttribute> driver = nullptr;

}  // namespace

void look_for_driver() {
  if (driver.load() != nullptr) return;
  void* const library = dlopen("libcuda.so.1", RTLD_LAZY | RTLD_NOLOAD);  // never closed
  if (library == nullptr) return;
  driver = reinterpret_cast<GetAttribute>(dlsym(library, "cuPointerGetAttribute"));
}

std::string device_memory_at(const void* pointer) {
  const GetAttribute get = driver.load();
  if (get == nullptr) return {};
  const auto address = reinterpret_cast<std::uintptr_t>(pointer);
  unsigned type = 0;
  if (get(&type, attribute_memory_type, address) != 0 || type != memory_type_device) return {};
  unsigned managed = 0;
  if (get(&managed, attribute_is_managed, address) == 0 && managed != 0) return {};
  int device = -1;
  if (get(&device, attribute_device_ordinal, address) != 0) return "memory of a CUDA device";
  return "memory of CUDA device " + std::to_string(device);
}

}  // namespace sparccl::host
