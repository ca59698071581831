#include <immintrin.h>

#include "host/simd_lines.hpp"
#include "host/simd_loop.hpp"

namespace sparccl::host {
namespace {

struct Floats {
  using A = float;
  using Vector = __m512;
  static constexpr std::size_t width = 16;

  static Vector load(const float* p) { return _mm512_loadu_ps(p); }
  static Vector load(const float16* p) {
    return _mm512_cvtph_ps(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(p)));
  }
  static Vector load(const bfloat16* p) {
    const __m256i half = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(p));
    return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(half), 16));
  }
  static void store(float* p, Vector v) { _mm512_storeu_ps(p, v); }
  static Vector broadcast(float x) { return _mm512_set1_ps(x); }
  static Vector accumulate(Vector residual, Vector scale, Vector gradient) {
    return _mm512_add_ps(residual, _mm512_mul_ps(scale, gradient));
  }
  static std::uint32_t at_least(Vector v, std::uint32_t bound) {
    const __m512i bits = _mm512_and_si512(_mm512_castps_si512(v), _mm512_set1_epi32(0x7fffffff));
    return _mm512_cmpge_epu32_mask(bits, _mm512_set1_epi32(static_cast<int>(bound)));
  }
  static Vector clear(Vector v, std::uint32_t mask) {
    return _mm512_maskz_mov_ps(static_cast<__mmask16>(~mask), v);
  }
  // Compressed in registers and stored whole: a compressing store is microcode on Zen 4.
  static std::size_t append(Vector v, std::uint32_t mask, std::uint32_t first,
                            std::uint16_t* offsets, float* values) {
    const __m512i lanes =
        _mm512_add_epi32(_mm512_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15),
                         _mm512_set1_epi32(static_cast<int>(first)));
    const auto m = static_cast<__mmask16>(mask);
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(offsets),
                        _mm512_cvtepi32_epi16(_mm512_maskz_compress_epi32(m, lanes)));
    _mm512_storeu_ps(values, _mm512_maskz_compress_ps(m, v));
    return static_cast<std::size_t>(_mm_popcnt_u32(mask));
  }
};

struct Doubles {
  using A = double;
  using Vector = __m512d;
  static constexpr std::size_t width = 8;

  static Vector load(const double* p) { return _mm512_loadu_pd(p); }
  static void store(double* p, Vector v) { _mm512_storeu_pd(p, v); }
  static Vector broadcast(double x) { return _mm512_set1_pd(x); }
  static Vector accumulate(Vector residual, Vector scale, Vector gradient) {
    return _mm512_add_pd(residual, _mm512_mul_pd(scale, gradient));
  }
  static std::uint32_t at_least(Vector v, std::uint64_t bound) {
    const __m512i bits =
        _mm512_and_si512(_mm512_castpd_si512(v), _mm512_set1_epi64(0x7fffffffffffffff));
    return _mm512_cmpge_epu64_mask(bits, _mm512_set1_epi64(static_cast<long long>(bound)));
  }
  static Vector clear(Vector v, std::uint32_t mask) {
    return _mm512_maskz_mov_pd(static_cast<__mmask8>(~mask), v);
  }
  static std::size_t append(Vector v, std::uint32_t mask, std::uint32_t first,
                            std::uint16_t* offsets, double* values) {
    const __m256i lanes = _mm256_add_epi32(_mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7),
                                           _mm256_set1_epi32(static_cast<int>(first)));
    const auto m = static_cast<__mmask8>(mask);
    _mm_storeu_si128(reinterpret_cast<__m128i*>(offsets),
                     _mm256_cvtepi32_epi16(_mm256_maskz_compress_epi32(m, lanes)));
    _mm512_storeu_pd(values, _mm512_maskz_compress_pd(m, v));
    return static_cast<std::size_t>(_mm_popcnt_u32(mask));
  }
};

/// The lanes of `mask`, to the front. Stores a whole vector.
void compress(std::uint16_t* to, std::uint32_t mask, const std::uint16_t* from, __m512) {
  const __m512i lanes =
      _mm512_cvtepu16_epi32(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(from)));
  const __m512i packed = _mm512_maskz_compress_epi32(static_cast<__mmask16>(mask), lanes);
  _mm256_storeu_si256(reinterpret_cast<__m256i*>(to), _mm512_cvtepi32_epi16(packed));
}
void compress(std::uint16_t* to, std::uint32_t mask, const std::uint16_t* from, __m512d) {
  const __m256i lanes =
      _mm256_cvtepu16_epi32(_mm_loadu_si128(reinterpret_cast<const __m128i*>(from)));
  const __m256i packed = _mm256_maskz_compress_epi32(static_cast<__mmask8>(mask), lanes);
  _mm_storeu_si128(reinterpret_cast<__m128i*>(to), _mm256_cvtepi32_epi16(packed));
}
void compress(float* to, std::uint32_t mask, __m512 v) {
  _mm512_storeu_ps(to, _mm512_maskz_compress_ps(static_cast<__mmask16>(mask), v));
}
void compress(double* to, std::uint32_t mask, __m512d v) {
  _mm512_storeu_pd(to, _mm512_maskz_compress_pd(static_cast<__mmask8>(mask), v));
}

template <class Set>
SplitResult split(const List<typename Set::A>& from, std::size_t size,
                  Bits<typename Set::A> threshold, const List<typename Set::A>& winners,
                  const List<typename Set::A>& losers) {
  constexpr std::uint32_t all = (1u << Set::width) - 1;
  std::size_t won = 0;
  std::size_t i = 0;
  for (; i + Set::width <= size; i += Set::width) {
    const typename Set::Vector scores = Set::load(from.scores + i);
    const typename Set::Vector values = Set::load(from.values + i);
    const std::uint32_t wins = Set::at_least(scores, threshold + 1);
    if (Set::at_least(scores, threshold) != wins) break;
    compress(losers.offsets + (i - won), all ^ wins, from.offsets + i, values);
    compress(losers.values + (i - won), all ^ wins, values);
    compress(winners.offsets + won, wins, from.offsets + i, values);
    compress(winners.values + won, wins, values);
    compress(winners.scores + won, wins, scores);
    won += static_cast<std::size_t>(_mm_popcnt_u32(wins));
  }
  return {i, won};
}

template <class Set>
BetweenResult between(const typename Set::A* scores, std::size_t size, Bits<typename Set::A> low,
                      Bits<typename Set::A> high, typename Set::A* out, std::size_t room) {
  BetweenResult result;
  std::size_t i = 0;
  for (; i + Set::width <= size; i += Set::width) {
    const typename Set::Vector v = Set::load(scores + i);
    const std::uint32_t above = Set::at_least(v, high + 1);
    const std::uint32_t inside = Set::at_least(v, low) ^ above;
    result.above += static_cast<std::size_t>(_mm_popcnt_u32(above));
    if (inside == 0) continue;
    if (result.between + Set::width > room) return {result.above, result.between, false};
    compress(out + result.between, inside, v);
    result.between += static_cast<std::size_t>(_mm_popcnt_u32(inside));
  }
  const BetweenResult rest = between_portable<typename Set::A>(
      scores + i, size - i, low, high, out + result.between, room - result.between);
  return {result.above + rest.above, result.between + rest.between, rest.complete};
}

struct Lines {
  static void zero(std::byte* to) {
    _mm512_stream_si512(reinterpret_cast<__m512i*>(to), _mm512_setzero_si512());
  }
  static void move(std::byte* to, std::byte* from) {
    _mm512_stream_si512(reinterpret_cast<__m512i*>(to), _mm512_loadu_si512(from));
    _mm512_storeu_si512(from, _mm512_setzero_si512());
  }
};

void fence() { _mm_sfence(); }

}  // namespace

constinit const Simd simd_avx512 = {
    "avx512",
    Loops<Floats>::accumulate<float>,
    Loops<Floats>::accumulate<float16>,
    Loops<Floats>::accumulate<bfloat16>,
    Loops<Doubles>::accumulate<double>,
    Loops<Floats>::collect,
    Loops<Doubles>::collect,
    split<Floats>,
    split<Doubles>,
    between<Floats>,
    between<Doubles>,
    write_lines<Lines>,
    fence,
};

}  // namespace sparccl::host
