#include <cpuid.h>

#include <cstring>

#include "host/simd.hpp"

namespace sparccl::host {
namespace {

bool has_clzero() {
  unsigned eax = 0, ebx = 0, ecx = 0, edx = 0;
  return __get_cpuid(0x80000008u, &eax, &ebx, &ecx, &edx) != 0 && (ebx & 1u) != 0;
}

/// The table, with the quicker way to write zeros where there is one.
Simd on_this_processor(Simd simd) {
  if (has_clzero()) simd.write_lines = write_lines_clzero;
  return simd;
}

}  // namespace

const Simd* find_simd(const char* name) {
  static const Simd with_avx2 = on_this_processor(simd_avx2);
  static const Simd with_avx512 = on_this_processor(simd_avx512);
  const bool avx2 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("f16c") &&
                    __builtin_cpu_supports("bmi");
  const bool avx512 = avx2 && __builtin_cpu_supports("avx512f") &&
                      __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512dq") &&
                      __builtin_cpu_supports("avx512vl");
  if (name == nullptr) return avx512 ? &with_avx512 : avx2 ? &with_avx2 : &simd_portable;
  if (avx512 && std::strcmp(name, "avx512") == 0) return &with_avx512;
  if (avx2 && std::strcmp(name, "avx2") == 0) return &with_avx2;
  if (std::strcmp(name, "portable") == 0) return &simd_portable;
  return nullptr;
}

}  // namespace sparccl::host
