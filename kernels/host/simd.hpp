// The inner loops that are written for an instruction set, as a table chosen at run time.
#pragma once

#include <cstddef>
#include <cstdint>

#include "visit.hpp"

namespace sparccl::host {

/// |a| as an integer, of the width of A.
template <class A>
using Bits = decltype(magnitude_bits(A()));

/// Where a chunk appends its candidates: room for the chunk and one vector more.
template <class A>
struct Appender {
  std::uint16_t first_offset = 0;  // of the chunk's first entry in its block
  std::uint16_t* offsets = nullptr;
  A* values = nullptr;
};

struct ChunkResult {
  std::size_t appended = 0;
  std::size_t processed = 0;  // entries of the chunk that were written
  bool finite = true;         // else: the group at `processed` holds a sum that is not finite
};

/// residual[i] += scale * gradient[i] for whole groups of entries. Sums with magnitude_bits >=
/// bound move to the list, in order: the residual keeps 0 there. Most of them will be sent, and now
/// their cache line is at hand. Stops before the first group with a sum that is not finite, which
/// it does not write. bound <= magnitude_bits(infinity). What is left over at the end of the chunk
/// (less than a group) is the portable loop's.
template <class G, class A>
using AccumulateChunk = ChunkResult (*)(const G* gradient, A* residual, std::size_t size, A scale,
                                        Bits<A> bound, const Appender<A>& out);

/// The same with no gradient.
template <class A>
using CollectChunk = ChunkResult (*)(A* residual, std::size_t size, Bits<A> bound,
                                     const Appender<A>& out);

/// Candidates: offsets in their block, values, scores.
template <class A>
struct List {
  std::uint16_t* offsets = nullptr;
  A* values = nullptr;
  A* scores = nullptr;
};

struct SplitResult {
  std::size_t processed = 0;
  std::size_t winners = 0;  // the rest of those processed are losers
};

/// Splits from[0, size) into winners (score above the threshold) and losers (below), both in order;
/// stops before a score that equals it, or earlier before less than a vector. winners may be
/// `from`, or a list that ends in it; losers have no scores. Both need room for one vector more.
template <class A>
using Split = SplitResult (*)(const List<A>& from, std::size_t size, Bits<A> threshold,
                              const List<A>& winners, const List<A>& losers);

struct BetweenResult {
  std::size_t above = 0;
  std::size_t between = 0;
  bool complete = true;  // else there were more between than room for them
};

/// Counts scores above `high`, and copies those in [low, high] to out[0, room).
template <class A>
using Between = BetweenResult (*)(const A* scores, std::size_t size, Bits<A> low, Bits<A> high,
                                  A* out, std::size_t room);

struct Simd {
  const char* name;
  AccumulateChunk<float, float> accumulate_f32;
  AccumulateChunk<float16, float> accumulate_f16;
  AccumulateChunk<bfloat16, float> accumulate_bf16;
  AccumulateChunk<double, double> accumulate_f64;
  CollectChunk<float> collect_f32;
  CollectChunk<double> collect_f64;
  Split<float> split_f32;
  Split<double> split_f64;
  Between<float> between_f32;
  Between<double> between_f64;
  /// Writes cache lines of 64 bytes at `to`, which is aligned to them, past the caches where the
  /// machine can: from `from` where the line's bit is set, and `from` is zeroed there; zeros
  /// elsewhere. set: a bit a line, none past the last. fence() before anyone else reads them.
  void (*write_lines)(void* to, void* from, const std::uint64_t* set, std::size_t lines);
  void (*fence)();

  [[nodiscard]] auto accumulate(Tag<float>) const { return accumulate_f32; }
  [[nodiscard]] auto accumulate(Tag<float16>) const { return accumulate_f16; }
  [[nodiscard]] auto accumulate(Tag<bfloat16>) const { return accumulate_bf16; }
  [[nodiscard]] auto accumulate(Tag<double>) const { return accumulate_f64; }
  [[nodiscard]] auto collect(Tag<float>) const { return collect_f32; }
  [[nodiscard]] auto collect(Tag<double>) const { return collect_f64; }
  [[nodiscard]] auto split(Tag<float>) const { return split_f32; }
  [[nodiscard]] auto split(Tag<double>) const { return split_f64; }
  [[nodiscard]] auto between(Tag<float>) const { return between_f32; }
  [[nodiscard]] auto between(Tag<double>) const { return between_f64; }
};

/// write_lines by the instruction of AMD's Zen that zeroes a line without reading it.
/// x86 with clzero only.
void write_lines_clzero(void* to, void* from, const std::uint64_t* set, std::size_t lines);

/// The portable loops, also for sets that cannot compress a vector.
template <class A>
SplitResult split_portable(const List<A>& from, std::size_t size, Bits<A> threshold,
                           const List<A>& winners, const List<A>& losers);
template <class A>
BetweenResult between_portable(const A* scores, std::size_t size, Bits<A> low, Bits<A> high, A* out,
                               std::size_t room);

extern const Simd simd_portable;
extern const Simd simd_avx2;    // x86 only
extern const Simd simd_avx512;  // x86 only

/// The best table that this processor runs (simd_x86.cpp or simd_other.cpp), or null where `name`
/// is given and the processor does not run it.
[[nodiscard]] const Simd* find_simd(const char* name);

/// find_simd, after the environment variable SPARCCL_SIMD (portable, avx2, avx512) if it is set.
/// Throws Error(invalid_argument) on a name that is unknown or not supported here.
[[nodiscard]] const Simd& choose_simd();

}  // namespace sparccl::host
