// Which path a tensor takes under Path::automatic. The cost model tells what is far off; what it
// takes for near each other is tried, a few steps each, and measured. Pure bookkeeping: every rank
// that is told the same figures decides alike, at the same call.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "cost_model.hpp"

namespace sparccl {

class PathChoice {
 public:
  /// may_try: whether calls block, so that their time is known when they return.
  PathChoice(const Predictions& predictions, bool may_try);

  [[nodiscard]] bool settled() const noexcept { return candidates_.size() == 1; }
  /// The one to take now.
  [[nodiscard]] Path path() const noexcept { return candidates_[trying_].path; }
  /// That it was told of so far.
  [[nodiscard]] std::uint32_t calls() const noexcept { return calls_; }
  [[nodiscard]] const std::string& reason() const noexcept { return reason_; }

  /// Of a call on path(), while it is not settled: all of it, with the wait for other ranks. What a
  /// rank has to do after the others' last stage shows in the next call's wait alone.
  void took(double seconds);

  /// All candidates have been tried: their figures have to be made the least of all ranks', and
  /// given back to settle(). The rank that takes least is the one that the others wait for.
  [[nodiscard]] bool tried() const noexcept { return trying_ == candidates_.size(); }
  [[nodiscard]] std::vector<double> figures() const;
  void settle(const std::vector<double>& seconds);

  /// Calls of each candidate: the first finds neither memory nor residual as the others do.
  static constexpr std::size_t warmups = 2;
  static constexpr std::size_t measured = 5;
  static constexpr std::size_t measured_of_short = 15;  // calls of less than a millisecond
  [[nodiscard]] std::size_t measured_calls() const noexcept { return measured_; }
  /// A path that is predicted to take longer than the fastest by more than this is not tried:
  /// predictions are that far off. dense is what others are to be held against, and a probe that
  /// was disturbed may be off by any factor: beyond near_dense it is looked at twice, the second
  /// time for the figure, as long as a call is not predicted to take longer than that many seconds.
  static constexpr double near = 2.5;
  static constexpr double near_dense = 10;
  static constexpr std::size_t looks_at_far = 2;
  static constexpr double longest_look = 1;

 private:
  struct Candidate {
    Path path;
    std::size_t warmups = 0, measured = 0;
    std::vector<double> seconds = {};  // of its calls so far
  };

  std::vector<Candidate> candidates_;
  std::size_t measured_ = measured;
  std::size_t trying_ = 0;
  std::uint32_t calls_ = 0;
  std::string predicted_;
  std::string reason_;
};

}  // namespace sparccl
