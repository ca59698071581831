// The scratch memory of one tensor on a device, carved out of one allocation, and its measures.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>

#include "cuda/device.hpp"
#include "sampling.hpp"
#include "stages.hpp"
#include "visit.hpp"

namespace sparccl::cuda {

/// |a| as an integer, of the width of A.
template <class A>
using Bits = decltype(magnitude_bits(A()));

// The fused pass: a block takes a tile, a warp a span of it, a thread 16 entries.
inline constexpr unsigned pass_threads = 256;
inline constexpr std::size_t per_thread = 16;
inline constexpr std::size_t span_size = warp_size * per_thread;
inline constexpr std::size_t tile_size = pass_threads * per_thread;
inline constexpr std::size_t tiles_per_block = block_size / tile_size;
static_assert(block_size % tile_size == 0);

/// Threads of the kernels whose blocks meet.
inline constexpr unsigned grid_threads = 512;

/// Counters of one digit of a radix selection.
inline constexpr std::uint32_t bins = 4096;
inline constexpr std::size_t histograms = 3;

/// Entries of the result that a block sums in shared memory; divides block_size.
template <class A>
inline constexpr std::size_t merge_tile_size = 32'768 / sizeof(A);

/// Entries of a cache line, the unit of the sample, and how many lines are read at most.
template <class A>
inline constexpr std::size_t line_size = 64 / sizeof(A);
inline constexpr std::size_t most_sampled_lines = 65'536;

/// One line of each group of so many entries is read: of 64 lines, or more where 128 of the k
/// largest are expected in the sample all the same, or where the tensor is very large. Kept in step
/// with the host's (kernels/host/sample.hpp), whose reasons it shares.
struct SampleShape {
  std::size_t lines = 0;  // of a group
  std::size_t groups = 0;
};
[[nodiscard]] inline SampleShape sample_shape(const Plan& plan) {
  const std::size_t line =
      plan.accumulator() == DataType::float64 ? line_size<double> : line_size<float>;
  SampleShape shape;
  shape.lines = std::clamp(plan.k / 128, std::size_t{64}, std::size_t{1024});
  shape.lines = std::max(shape.lines, plan.count / line / most_sampled_lines);
  shape.groups = plan.count / (shape.lines * line);
  return shape;
}

/// Room for candidates: half as many again as are sent, and some for small k, whose bound is vague.
[[nodiscard]] inline std::size_t candidate_capacity(const Plan& plan) {
  return std::min(plan.count, plan.k + plan.k / 2 + 32'768 + plan.count / 8192);
}

/// How far a step has come; what restore() has to undo.
enum class Stage : std::uint32_t { idle = 0, accumulated, selected };

struct Header {
  std::uint64_t candidates;  // asked room for; more than there is: the list overflowed
  std::uint64_t bound;       // bits: what is above is a candidate
  std::uint64_t passed;      // candidates, for the report
  std::uint64_t fallbacks;   // 0 or 1
  std::uint64_t picked;      // entries in the list of the selected
  std::uint32_t non_finite;  // a sum of this rank was not finite
  std::uint32_t refused;     // the ranks disagree: nothing is to be done
  Stage stage;
  std::uint32_t round;      // of radix selections: histogram round % histograms is zero
  std::uint32_t arrived;    // of grid_barrier
  std::uint32_t bad_table;  // of check: a block table cannot be relied on
  std::uint64_t worst;      // of check: the least rank << 32 | problem
  std::uint64_t first_non_finite;
  Verdict verdict;
};

template <class A>
struct Workspace {
  Header* header = nullptr;
  std::uint64_t* counts = nullptr;            // [histograms][bins]
  Bits<A>* sample = nullptr;                  // [groups * line] scores
  std::uint64_t* history_starts = nullptr;    // [blocks + 1] where each block's entries begin
  std::uint8_t* spoiled = nullptr;            // [spans] 1 where a sum was not finite: not written
  std::uint64_t* tile_start = nullptr;        // [tiles] where its candidates begin
  std::uint32_t* tile_count = nullptr;        // [tiles]
  std::uint32_t* tile_above = nullptr;        // [tiles] of them, above the threshold
  std::uint32_t* tile_equal = nullptr;        // [tiles] at it; then: how many of those are taken
  std::uint64_t* tile_out = nullptr;          // [tiles] where its selected begin
  std::uint64_t* totals = nullptr;            // [2 * grid] of each thread block, above and equal
  std::uint64_t* positions = nullptr;         // [capacity] of candidates, in order within a tile
  A* values = nullptr;                        // [capacity]
  Bits<A>* scores = nullptr;                  // [capacity]
  std::uint32_t* picked_per_block = nullptr;  // [blocks]
  std::uint64_t* picked_positions = nullptr;  // [k] ascending
  A* picked_values = nullptr;                 // [k]
  std::uint64_t* starts = nullptr;  // [world][merge tiles + 1] where each tile's entries begin
  std::size_t capacity = 0;
  std::size_t tiles = 0;
  std::size_t merge_tiles = 0;
  std::size_t bytes = 0;  // of all of it

  static constexpr std::size_t most_grid_blocks = 2048;

  /// memory: what Backend::workspace_bytes asked for, zeroed once; null to learn `bytes`.
  Workspace(const Plan& plan, void* memory) : base_(static_cast<std::byte*>(memory)) {
    capacity = candidate_capacity(plan);
    tiles = (plan.count + tile_size - 1) / tile_size;
    merge_tiles = (plan.count + merge_tile_size<A> - 1) / merge_tile_size<A>;
    const SampleShape shape = sample_shape(plan);
    take(header, 1);
    take(counts, histograms * bins);
    take(sample, shape.groups * line_size<A>);
    take(history_starts, plan.blocks() + 1);
    take(spoiled, (plan.count + span_size - 1) / span_size);
    take(tile_start, tiles);
    take(tile_count, tiles);
    take(tile_above, tiles);
    take(tile_equal, tiles);
    take(tile_out, tiles);
    take(totals, 2 * most_grid_blocks);
    take(positions, capacity);
    take(values, capacity);
    take(scores, capacity);
    take(picked_per_block, plan.blocks());
    take(picked_positions, plan.k);
    take(picked_values, plan.k);
    take(starts, static_cast<std::size_t>(plan.world_size) * (merge_tiles + 1));
  }

 private:
  template <class T>
  void take(T*& part, std::size_t count) {
    if (base_ != nullptr) part = reinterpret_cast<T*>(base_ + bytes);
    bytes += (count * sizeof(T) + 255) / 256 * 256;
  }
  std::byte* base_;
};

/// What a kernel needs of a Plan.
template <class A>
struct Shape {
  std::uint64_t count;
  std::uint64_t blocks;
  std::uint64_t k;
  int world_size;
  int rank;
  bool damps;
  Distortion distortion;
  A mu;

  explicit Shape(const Plan& plan)
      : count(plan.count),
        blocks(plan.blocks()),
        k(plan.k),
        world_size(plan.world_size),
        rank(plan.rank),
        damps(plan.mu > 0),
        distortion(plan.distortion),
        mu(damping_mu<A>(plan.mu)) {}
};

}  // namespace sparccl::cuda
