#include <cstring>

#include "host/simd.hpp"

namespace sparccl::host {

const Simd* find_simd(const char* name) {
  return name == nullptr || std::strcmp(name, "portable") == 0 ? &simd_portable : nullptr;
}

}  // namespace sparccl::host
