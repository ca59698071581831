#include "split_plan.hpp"

#include <algorithm>

namespace sparccl {
namespace {

std::size_t ceil_div(std::size_t a, std::size_t b) { return a / b + (a % b != 0 ? 1 : 0); }

/// Room for that many more entries than an even share, where some ranges get more than others.
constexpr std::size_t slack = 4;

}  // namespace

SplitPlan make_split_plan(const Plan& plan) {
  const auto ranks = static_cast<std::size_t>(plan.world_size);
  const std::size_t equal = ceil_div(plan.count, ranks);
  const std::size_t sent = ceil_div(plan.k + plan.k / 2, ranks) + slack;
  const std::size_t reduced = ceil_div(2 * plan.k + plan.k / 2, ranks) + slack;
  SplitPlan split;
  split.whole = plan;
  // A range of more entries than there is room for would leave some behind at density 1.
  split.balances = ranks > 1 && sent < equal;
  const std::size_t longest = split.balances ? std::min(plan.count, 4 * equal) : equal;

  split.sent = plan;
  split.sent.count = longest;
  split.sent.k = std::min(longest, sent);
  split.sent.type = plan.accumulator();
  split.sent.exact = false;

  split.reduced = split.sent;
  split.reduced.k = std::min(longest, reduced);
  split.reduced.wire = plan.accumulator();
  split.reduced.finite = false;  // a sum of finite values may overflow
  return split;
}

std::vector<std::uint64_t> equal_bounds(const SplitPlan& split) {
  const auto ranks = static_cast<std::size_t>(split.whole.world_size);
  const std::size_t equal = ceil_div(split.whole.count, ranks);
  std::vector<std::uint64_t> bounds(ranks + 1);
  for (std::size_t r = 0; r <= ranks; ++r) {
    bounds[r] = std::min<std::uint64_t>(split.whole.count, r * equal);
  }
  return bounds;
}

}  // namespace sparccl
