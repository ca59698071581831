// Counts wrong entries of results: what an oracle says, and what conservation demands.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "data.hpp"
#include "oracle.hpp"
#include "ranks.hpp"

namespace sparccl::perf {

/// What a result can be held against.
enum class Expect {
  conservation,  ///< result + sum of residuals = sum of residuals before + sum of gradients
  dense,         ///< and all of it is in the result
  oracle,        ///< and the result is what the oracle says that the path selects and sums
};

/// One tensor from its first step on. All of it is collective.
class Checker {
 public:
  Checker(Ranks& ranks, const CheckShape& shape, const Integers& integers);

  /// This rank's next gradient: [count] of the type, host memory.
  void next(std::span<std::byte> gradient);

  /// How many entries of this rank's result of that gradient are wrong; at least 1 if its bits
  /// differ from those of rank 0. residual: [count] of the accumulator type, host memory; empty for
  /// what keeps none.
  [[nodiscard]] std::uint64_t wrong(std::span<const std::byte> result,
                                    std::span<const std::byte> residual, Expect expect);

 private:
  [[nodiscard]] std::uint64_t wrong_in(std::size_t begin, std::size_t end,
                                       std::span<const std::byte> result,
                                       std::span<const std::byte> residual, Expect expect);

  Ranks& ranks_;
  CheckShape shape_;
  Integers integers_;
  Oracle oracle_;
  int step_ = 0;
  std::vector<float> given_;         // [count] sum of residuals and gradients of all ranks
  std::span<const float> expected_;  // [count] of the oracle
};

}  // namespace sparccl::perf
