// What each sparse path sends and sums, worked out entry by entry, apart from the library that is
// measured: docs/design.md, section 1, and docs/paths.md.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "data.hpp"
#include "ranks.hpp"

namespace sparccl::perf {

struct CheckShape {
  std::size_t count = 1;
  std::uint64_t k = 1;
  DataType type = DataType::float32;
  Reduction reduction = Reduction::sum;
  double mu = 0;
  Path path = Path::allgather;
  std::vector<int> nodes = {};  ///< of Path::hierarchical: that of each rank
};

/// One tensor from its first step on, on Path::allgather, split or hierarchical. Of split as long
/// as its ranges are of equal length.
class Oracle {
 public:
  Oracle(Ranks& ranks, const CheckShape& shape);

  /// Steps after which it cannot tell any more.
  [[nodiscard]] static int steps_known(Path path);

  /// Collective: a step of these gradients. Returns [count] the sums that all ranks must find, 0
  /// where nothing was sent; until the next call.
  std::span<const float> step(const Integers& integers, int step);

 private:
  struct Sent {
    std::size_t position;
    double own, total;
    bool reduced;
  };

  void select();
  template <class A>
  [[nodiscard]] std::vector<A> scores() const;
  [[nodiscard]] std::size_t range_length() const;
  void leave_out_what_has_no_room();
  void sum_over_ranks();
  void hand_on_the_largest();
  void keep_what_was_not_reduced();

  Ranks& ranks_;
  CheckShape shape_;
  std::size_t first_ = 0, last_;  // what this rank selects from
  std::uint64_t k_;               // and how much of it
  std::vector<int> members_;      // whose gradients it selects from
  std::vector<float> held_;       // [count] residual and gradient
  std::vector<float> totals_;     // [count]
  std::vector<float> senders_;    // [count] of split: how many ranks sent it
  std::vector<Sent> sent_;        // by position; of the last step: the history
};

}  // namespace sparccl::perf
