#include "host/select.hpp"

#include <algorithm>
#include <array>
#include <bit>
#include <limits>

#include "host/host_stages.hpp"
#include "visit.hpp"

namespace sparccl::host {
namespace {

constexpr int digit = 13;  // bits told apart by one pass: 32 KiB of counters

/// Where the k-th largest lies, as a range of bits, and its rank within it.
template <class A>
struct Range {
  Bits<A> low = 0;
  Bits<A> high = std::numeric_limits<Bits<A>>::max();
  std::size_t rank = 0;
};

/// Narrows the range by one digit: [low + bin << shift, + 1 << shift), all above it in the last bin.
template <class A>
Range<A> narrow(const A* scores, std::size_t size, const Range<A>& range, int shift) {
  constexpr std::size_t bins = std::size_t{1} << digit;
  std::array<std::uint32_t, bins> counts{};
  for (std::size_t i = 0; i < size; ++i) {
    const Bits<A> bits = magnitude_bits(scores[i]);
    if (bits < range.low || bits > range.high) continue;
    ++counts[std::min<Bits<A>>((bits - range.low) >> shift, bins - 1)];
  }
  Range<A> found = range;
  std::size_t bin = bins - 1;
  while (counts[bin] < found.rank) {
    found.rank -= counts[bin];
    if (bin == 0) return {0, range.low - 1, found.rank};  // below what was expected
    --bin;
  }
  found.low += static_cast<Bits<A>>(bin) << shift;
  if (bin != bins - 1) found.high = found.low + ((Bits<A>{1} << shift) - 1);
  return found;
}

}  // namespace

// Radix selection that starts where the scores do: the candidates of one tensor lie within a few
// powers of two of the bound that let them in, where a fixed leading digit would tell none apart.
template <class A>
Threshold<A> kth_largest(const A* scores, std::size_t size, std::size_t k, Bits<A> expected_low) {
  constexpr int mantissa = std::numeric_limits<A>::digits - 1;
  constexpr Bits<A> infinity = magnitude_bits(std::numeric_limits<A>::infinity());
  Range<A> range{expected_low, infinity, k};
  range = narrow(scores, size, range, mantissa + 2 - digit);  // four powers of two
  while (range.low != range.high) {
    const int width = static_cast<int>(std::bit_width(range.high - range.low));
    range = narrow(scores, size, range, std::max(0, width - digit));
  }
  return {range.low, range.rank};
}

template Threshold<float> kth_largest(const float*, std::size_t, std::size_t, Bits<float>);
template Threshold<double> kth_largest(const double*, std::size_t, std::size_t, Bits<double>);

void select(const Plan& plan, void* workspace) {
  visit_accumulator(plan.accumulator(), [&]<class A>(Tag<A>) {
    const Workspace<A> work(plan, workspace);
    WorkspaceHeader& header = *work.header;
    if (!header.finite) return;
    const auto bound = static_cast<Bits<A>>(header.threshold);  // of accumulate
    const Threshold<A> threshold = header.candidates == plan.k
                                       ? Threshold<A>{0, plan.k}
                                       : kth_largest(work.scores, header.candidates, plan.k, bound);
    header.threshold = threshold.bits;
    header.ties = threshold.ties;
  });
}

}  // namespace sparccl::host
