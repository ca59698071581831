#include <immintrin.h>

#include "host/simd_lines.hpp"
#include "host/simd_loop.hpp"

namespace sparccl::host {
namespace {

/// Few lanes reach the bound, so they are taken one by one.
template <class A, class Store>
std::size_t append_lanes(std::uint32_t mask, std::uint32_t first, std::uint16_t* offsets, A* values,
                         Store store) {
  if (mask == 0) return 0;
  alignas(32) A lanes[32 / sizeof(A)];
  store(lanes);
  std::size_t appended = 0;
  for (; mask != 0; mask = _blsr_u32(mask)) {
    const std::uint32_t lane = _tzcnt_u32(mask);
    offsets[appended] = static_cast<std::uint16_t>(first + lane);
    values[appended] = lanes[lane];
    ++appended;
  }
  return appended;
}

struct Floats {
  using A = float;
  using Vector = __m256;
  static constexpr std::size_t width = 8;

  static Vector load(const float* p) { return _mm256_loadu_ps(p); }
  static Vector load(const float16* p) {
    return _mm256_cvtph_ps(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p)));
  }
  static Vector load(const bfloat16* p) {
    const __m128i half = _mm_loadu_si128(reinterpret_cast<const __m128i*>(p));
    return _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_cvtepu16_epi32(half), 16));
  }
  static void store(float* p, Vector v) { _mm256_storeu_ps(p, v); }
  static Vector broadcast(float x) { return _mm256_set1_ps(x); }
  static Vector accumulate(Vector residual, Vector scale, Vector gradient) {
    return _mm256_add_ps(residual, _mm256_mul_ps(scale, gradient));
  }
  // Magnitudes are not negative, so a signed comparison serves; bound - 1 makes it "at least".
  static std::uint32_t at_least(Vector v, std::uint32_t bound) {
    const __m256i bits = _mm256_and_si256(_mm256_castps_si256(v), _mm256_set1_epi32(0x7fffffff));
    const __m256i below = _mm256_set1_epi32(static_cast<int>(bound) - 1);
    return static_cast<std::uint32_t>(
        _mm256_movemask_ps(_mm256_castsi256_ps(_mm256_cmpgt_epi32(bits, below))));
  }
  static Vector clear(Vector v, std::uint32_t mask) {
    const __m256i lane_bits = _mm256_setr_epi32(1, 2, 4, 8, 16, 32, 64, 128);
    const __m256i hit = _mm256_and_si256(_mm256_set1_epi32(static_cast<int>(mask)), lane_bits);
    return _mm256_andnot_ps(_mm256_castsi256_ps(_mm256_cmpeq_epi32(hit, lane_bits)), v);
  }
  static std::size_t append(Vector v, std::uint32_t mask, std::uint32_t first,
                            std::uint16_t* offsets, float* values) {
    return append_lanes(mask, first, offsets, values, [v](float* p) { _mm256_store_ps(p, v); });
  }
};

struct Doubles {
  using A = double;
  using Vector = __m256d;
  static constexpr std::size_t width = 4;

  static Vector load(const double* p) { return _mm256_loadu_pd(p); }
  static void store(double* p, Vector v) { _mm256_storeu_pd(p, v); }
  static Vector broadcast(double x) { return _mm256_set1_pd(x); }
  static Vector accumulate(Vector residual, Vector scale, Vector gradient) {
    return _mm256_add_pd(residual, _mm256_mul_pd(scale, gradient));
  }
  static std::uint32_t at_least(Vector v, std::uint64_t bound) {
    const __m256i bits =
        _mm256_and_si256(_mm256_castpd_si256(v), _mm256_set1_epi64x(0x7fffffffffffffff));
    const __m256i below = _mm256_set1_epi64x(static_cast<long long>(bound) - 1);
    return static_cast<std::uint32_t>(
        _mm256_movemask_pd(_mm256_castsi256_pd(_mm256_cmpgt_epi64(bits, below))));
  }
  static Vector clear(Vector v, std::uint32_t mask) {
    const __m256i lane_bits = _mm256_setr_epi64x(1, 2, 4, 8);
    const __m256i hit = _mm256_and_si256(_mm256_set1_epi64x(mask), lane_bits);
    return _mm256_andnot_pd(_mm256_castsi256_pd(_mm256_cmpeq_epi64(hit, lane_bits)), v);
  }
  static std::size_t append(Vector v, std::uint32_t mask, std::uint32_t first,
                            std::uint16_t* offsets, double* values) {
    return append_lanes(mask, first, offsets, values, [v](double* p) { _mm256_store_pd(p, v); });
  }
};

struct Lines {
  static void zero(std::byte* to) {
    _mm256_stream_si256(reinterpret_cast<__m256i*>(to), _mm256_setzero_si256());
    _mm256_stream_si256(reinterpret_cast<__m256i*>(to + 32), _mm256_setzero_si256());
  }
  static void move(std::byte* to, std::byte* from) {
    for (int half = 0; half < 64; half += 32) {
      auto* const line = reinterpret_cast<__m256i*>(from + half);
      _mm256_stream_si256(reinterpret_cast<__m256i*>(to + half), _mm256_loadu_si256(line));
      _mm256_storeu_si256(line, _mm256_setzero_si256());
    }
  }
};

void fence() { _mm_sfence(); }

}  // namespace

constinit const Simd simd_avx2 = {
    "avx2",
    Loops<Floats>::accumulate<float>,
    Loops<Floats>::accumulate<float16>,
    Loops<Floats>::accumulate<bfloat16>,
    Loops<Doubles>::accumulate<double>,
    Loops<Floats>::collect,
    Loops<Doubles>::collect,
    split_portable<float>,
    split_portable<double>,
    between_portable<float>,
    between_portable<double>,
    write_lines<Lines>,
    fence,
};

}  // namespace sparccl::host
