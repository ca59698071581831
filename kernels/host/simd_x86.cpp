#include <cstring>

#include "host/simd.hpp"

namespace sparccl::host {

const Simd* find_simd(const char* name) {
  const bool avx2 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("f16c") &&
                    __builtin_cpu_supports("bmi");
  const bool avx512 = avx2 && __builtin_cpu_supports("avx512f") &&
                      __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512dq") &&
                      __builtin_cpu_supports("avx512vl");
  if (name == nullptr) return avx512 ? &simd_avx512 : avx2 ? &simd_avx2 : &simd_portable;
  if (avx512 && std::strcmp(name, "avx512") == 0) return &simd_avx512;
  if (avx2 && std::strcmp(name, "avx2") == 0) return &simd_avx2;
  if (std::strcmp(name, "portable") == 0) return &simd_portable;
  return nullptr;
}

}  // namespace sparccl::host
