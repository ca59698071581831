// Path::split as it is defined, of all ranks at once and in the plainest way: to compare with.
#pragma once

#include <vector>

#include "split_rig.hpp"

namespace sparccl::test {

/// From what each rank packed and its residual then, to what all of them hold in the end.
class SplitOracle {
 public:
  /// One of `owns` and `residuals` a rank, all finite.
  SplitOracle(const SplitPlan& split, std::vector<std::uint64_t> bounds,
              std::vector<EntryList> owns, std::vector<Vector> residuals);

  // Of scatter: [from][to range], and what stays with the rank.
  std::vector<std::vector<RangePacket>> sent;
  std::vector<EntryList> kept;
  std::vector<Vector> residuals_then;
  // Of reduce: [range].
  std::vector<RangePacket> reduced;
  // Of join.
  EntryList sums;  // not yet divided
  std::vector<Vector> residuals;
  std::vector<EntryList> histories;

  [[nodiscard]] EntryList result(Reduction reduction) const;
  [[nodiscard]] std::size_t trimmed() const { return trimmed_; }

 private:
  void scatter(std::size_t rank, const EntryList& own);
  void reduce(std::size_t range);
  void join(std::size_t rank);
  [[nodiscard]] double rounded(double x) const;

  SplitPlan split_;
  std::vector<std::uint64_t> bounds_;
  std::size_t trimmed_ = 0;  // entries that found no room, in either phase
};

}  // namespace sparccl::test
