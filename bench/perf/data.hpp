// What is reduced: normal numbers where time is taken, integers where results are checked.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include <sparccl/types.hpp>

namespace sparccl::perf {

/// A rank's gradients are windows of one buffer that is longer by this, so that each step's are
/// others, and none has to be made while the clock runs.
inline constexpr std::size_t spread_entries = 1024;

/// Where in it the gradient of a step begins: at a cache line.
[[nodiscard]] constexpr std::size_t window(std::size_t step) { return step % 32 * 32; }

/// out: entries [first, first + out.size() / size_of(type)) of `rank`'s buffer, N(0, 1).
void fill_normal(DataType type, int rank, std::size_t first, std::span<std::byte> out);

/// Integers whose sums over ranks and steps are exact.
struct Integers {
  std::int32_t unit = 1;  ///< all are multiples of it: means over the ranks are exact, too
  std::int32_t most = 1;  ///< and at most so many of it

  /// Of a rank, at a step, at a position; from a hash, so that every rank knows every other's. At
  /// even positions it comes back with the other sign: what was sent is large again and what was
  /// not is zero, so that RegTop-k has to choose between what it damps and the odd positions, which
  /// are half as large and others at each step.
  [[nodiscard]] std::int32_t operator()(int rank, int step, std::size_t position) const;
};

/// Those whose sums over `ranks` and `steps` neither type rounds. Throws UsageError where there are
/// none.
[[nodiscard]] Integers exact_integers(DataType type, DataType wire, Reduction reduction, int ranks,
                                      int steps);

/// Entry `position` of a tensor in host memory.
[[nodiscard]] double read(DataType type, const void* tensor, std::size_t position);
void write(DataType type, void* tensor, std::size_t position, double value);

/// Of residuals and sums: float64 for float64, else float32.
[[nodiscard]] constexpr DataType accumulator_of(DataType type) {
  return type == DataType::float64 ? DataType::float64 : DataType::float32;
}

}  // namespace sparccl::perf
