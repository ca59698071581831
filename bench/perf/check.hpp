// Counts wrong entries of results: an oracle of its own, and what conservation demands.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "data.hpp"
#include "ranks.hpp"

namespace sparccl::perf {

/// What a result can be held against.
enum class Expect {
  conservation,  ///< result + sum of residuals = sum of residuals before + sum of gradients
  dense,         ///< and all of it is in the result
  top_k,         ///< and the result is the sum of every rank's own k entries of largest score
};

struct CheckShape {
  std::size_t count = 1;
  std::uint64_t k = 1;
  DataType type = DataType::float32;
  Reduction reduction = Reduction::sum;
  double mu = 0;
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
  template <class A>
  void pick();
  [[nodiscard]] std::uint64_t wrong_in(std::size_t begin, std::size_t end,
                                       std::span<const std::byte> result,
                                       std::span<const std::byte> residual, Expect expect);
  void remember_totals(std::size_t begin, std::size_t end, std::span<const float> totals);

  struct Sent {
    std::size_t position;
    double own, total;
  };

  Ranks& ranks_;
  CheckShape shape_;
  Integers integers_;
  int step_ = 0;
  bool picked_ = false;
  std::vector<float> given_;  // [count] sum of residuals and gradients of all ranks
  std::vector<float> own_;    // [count] this rank's residual by the oracle, and its gradient
  std::vector<float> sent_;   // [count] what it sends by the oracle
  std::vector<Sent> history_;
};

}  // namespace sparccl::perf
