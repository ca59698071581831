#include <immintrin.h>

#include "host/simd.hpp"
#include "host/simd_lines.hpp"

namespace sparccl::host {
namespace {

struct Lines {
  static void zero(std::byte* to) { _mm_clzero(to); }
  static void move(std::byte* to, std::byte* from) {
    for (int half = 0; half < 64; half += 32) {
      auto* const line = reinterpret_cast<__m256i*>(from + half);
      _mm256_stream_si256(reinterpret_cast<__m256i*>(to + half), _mm256_loadu_si256(line));
      _mm256_storeu_si256(line, _mm256_setzero_si256());
    }
  }
};

}  // namespace

void write_lines_clzero(void* to, void* from, const std::uint64_t* set, std::size_t lines) {
  write_lines<Lines>(to, from, set, lines);
}

}  // namespace sparccl::host
