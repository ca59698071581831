// The loops in plain C++: the semantics of the others, and what runs where they do not.
#include <algorithm>
#include <bit>
#include <cstring>

#include "host/simd.hpp"

namespace sparccl::host {
namespace {

constexpr std::size_t group = 64;

/// Moves what reaches the bound, of `size` sums that are all finite.
template <class A>
std::size_t append(A* sums, std::size_t size, std::size_t first, Bits<A> bound,
                   const Appender<A>& out) {
  std::size_t appended = 0;
  for (std::size_t i = 0; i < size; ++i) {
    if (magnitude_bits(sums[i]) < bound) continue;
    out.offsets[appended] = static_cast<std::uint16_t>(out.first_offset + first + i);
    out.values[appended] = sums[i];
    sums[i] = A(0);
    ++appended;
  }
  return appended;
}

template <class A>
Appender<A> after(const Appender<A>& out, std::size_t appended) {
  return {out.first_offset, out.offsets + appended, out.values + appended};
}

template <class A>
Bits<A> largest(const A* sums, std::size_t size) {
  Bits<A> most = 0;
  for (std::size_t i = 0; i < size; ++i) most = std::max(most, magnitude_bits(sums[i]));
  return most;
}

template <class G, class A>
ChunkResult accumulate_chunk(const G* gradient, A* residual, std::size_t size, A scale,
                             Bits<A> bound, const Appender<A>& out) {
  constexpr Bits<A> infinity = magnitude_bits(std::numeric_limits<A>::infinity());
  ChunkResult result;
  A sums[group];
  for (std::size_t i = 0; i < size; i += group) {
    const std::size_t length = std::min(group, size - i);
    for (std::size_t j = 0; j < length; ++j) {
      sums[j] = accumulate(residual[i + j], scale, Convert<G>::up(gradient[i + j]));
    }
    const Bits<A> most = largest(sums, length);
    if (most >= infinity) {
      result.finite = false;
      return result;
    }
    if (most >= bound) {
      result.appended += append(sums, length, i, bound, after(out, result.appended));
    }
    std::memcpy(residual + i, sums, length * sizeof(A));
    result.processed = i + length;
  }
  return result;
}

template <class A>
ChunkResult collect_chunk(A* residual, std::size_t size, Bits<A> bound, const Appender<A>& out) {
  ChunkResult result;
  for (std::size_t i = 0; i < size; i += group) {
    const std::size_t length = std::min(group, size - i);
    if (largest(residual + i, length) >= bound) {
      result.appended += append(residual + i, length, i, bound, after(out, result.appended));
    }
  }
  result.processed = size;
  return result;
}

void write_lines(void* to, void* from, const std::uint64_t* set, std::size_t lines) {
  std::memset(to, 0, lines * 64);
  for (std::size_t word = 0; word * 64 < lines; ++word) {
    for (std::uint64_t bits = set[word]; bits != 0; bits &= bits - 1) {
      const std::size_t at = (word * 64 + static_cast<std::size_t>(std::countr_zero(bits))) * 64;
      std::memcpy(static_cast<std::byte*>(to) + at, static_cast<std::byte*>(from) + at, 64);
      std::memset(static_cast<std::byte*>(from) + at, 0, 64);
    }
  }
}

void fence() {}

}  // namespace

// Without a branch: winners and losers come in no order that one could be predicted by.
template <class A>
SplitResult split_portable(const List<A>& from, std::size_t size, Bits<A> threshold,
                           const List<A>& winners, const List<A>& losers) {
  std::size_t won = 0;
  std::size_t i = 0;
  for (; i < size; ++i) {
    const A score = from.scores[i];
    const A value = from.values[i];
    const std::uint16_t offset = from.offsets[i];
    const Bits<A> bits = magnitude_bits(score);
    if (bits == threshold) break;
    losers.offsets[i - won] = offset;
    losers.values[i - won] = value;
    winners.offsets[won] = offset;
    winners.values[won] = value;
    winners.scores[won] = score;
    won += bits > threshold ? 1 : 0;
  }
  return {i, won};
}

template SplitResult split_portable(const List<float>&, std::size_t, Bits<float>,
                                    const List<float>&, const List<float>&);
template SplitResult split_portable(const List<double>&, std::size_t, Bits<double>,
                                    const List<double>&, const List<double>&);

template <class A>
BetweenResult between_portable(const A* scores, std::size_t size, Bits<A> low, Bits<A> high, A* out,
                               std::size_t room) {
  BetweenResult result;
  for (std::size_t i = 0; i < size; ++i) {
    const Bits<A> bits = magnitude_bits(scores[i]);
    result.above += bits > high ? 1 : 0;
    if (bits < low || bits > high) continue;
    if (result.between == room) return {result.above, result.between, false};
    out[result.between++] = scores[i];
  }
  return result;
}

template BetweenResult between_portable(const float*, std::size_t, Bits<float>, Bits<float>, float*,
                                        std::size_t);
template BetweenResult between_portable(const double*, std::size_t, Bits<double>, Bits<double>,
                                        double*, std::size_t);

constinit const Simd simd_portable = {
    "portable",
    accumulate_chunk<float, float>,
    accumulate_chunk<float16, float>,
    accumulate_chunk<bfloat16, float>,
    accumulate_chunk<double, double>,
    collect_chunk<float>,
    collect_chunk<double>,
    split_portable<float>,
    split_portable<double>,
    between_portable<float>,
    between_portable<double>,
    write_lines,
    fence,
};

}  // namespace sparccl::host
