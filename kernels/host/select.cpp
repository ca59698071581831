#include "host/select.hpp"

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <functional>
#include <limits>

#include "host/candidates.hpp"
#include "host/host_stages.hpp"
#include "visit.hpp"

namespace sparccl::host {
namespace {

/// Bits that one pass over the scores tells apart: 64 KiB of counters, which few scores are not
/// worth.
constexpr int digit_of_many = 13;
constexpr int digit_of_few = 8;
constexpr std::size_t few = 2048;

/// Where the k-th largest lies, as a range of bits, and its rank within it.
template <class A>
struct Range {
  Bits<A> low = 0;
  Bits<A> high = std::numeric_limits<Bits<A>>::max();
  std::size_t rank = 0;
};

/// Narrows the range by one digit: [low + bin << shift, + 1 << shift), all above it in the last
/// bin.
template <int digit, class A>
Range<A> narrow(const A* scores, std::size_t size, const Range<A>& range, int shift) {
  constexpr std::size_t bins = std::size_t{1} << digit;
  std::array<std::size_t, bins> counts{};
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
  if (bin != bins - 1) {
    found.high = std::min(range.high, found.low + ((Bits<A>{1} << shift) - 1));
  }
  return found;
}

// Radix selection that starts where the scores do: the candidates of one tensor lie within a few
// powers of two of the bound that let them in, where a fixed leading digit would tell none apart.
template <int digit, class A>
Threshold<A> kth_largest_by(const A* scores, std::size_t size, std::size_t k,
                            Bits<A> expected_low) {
  constexpr int mantissa = std::numeric_limits<A>::digits - 1;
  constexpr Bits<A> infinity = magnitude_bits(std::numeric_limits<A>::infinity());
  Range<A> range{expected_low, infinity, k};
  range = narrow<digit>(scores, size, range, mantissa + 2 - digit);  // four powers of two
  while (range.low != range.high) {
    const int width = static_cast<int>(std::bit_width(range.high - range.low));
    range = narrow<digit>(scores, size, range, std::max(0, width - digit));
  }
  return {range.low, range.rank};
}

}  // namespace

template <class A>
Threshold<A> kth_largest(const A* scores, std::size_t size, std::size_t k, Bits<A> expected_low) {
  return size < few ? kth_largest_by<digit_of_few>(scores, size, k, expected_low)
                    : kth_largest_by<digit_of_many>(scores, size, k, expected_low);
}

// Of many scores, a sample tells between which two the k-th largest almost certainly lies; one pass
// over all of them proves it and leaves the few in between.
template <class A>
Threshold<A> kth_candidate(const Simd& simd, const Workspace<A>& work, std::size_t k) {
  const std::size_t size = work.header->candidates;
  const auto guess = static_cast<Bits<A>>(work.header->guess);
  if (work.narrowed_room == 0 || size < 16 * score_sample) {
    return kth_largest(work.scores, size, k, guess);
  }
  for (std::size_t i = 0; i < score_sample; ++i) {
    work.narrowed[i] = work.scores[i * (size / score_sample)];
  }
  const double share = static_cast<double>(k) / static_cast<double>(size);
  const double rank = share * score_sample;
  const double margin = 4.0 * std::sqrt(rank * (1.0 - share)) + 2.0;
  Bits<A> low = 0;
  Bits<A> high = magnitude_bits(std::numeric_limits<A>::max());
  const auto at_rank = [&](double r) {  // of the sample, from the largest
    A* const nth = work.narrowed + static_cast<std::size_t>(r);
    std::nth_element(work.narrowed, nth, work.narrowed + score_sample, std::greater<>());
    return magnitude_bits(*nth);
  };
  if (rank + margin < score_sample) low = at_rank(rank + margin);
  if (rank - margin >= 0) high = at_rank(rank - margin);
  const BetweenResult found =
      simd.between(Tag<A>{})(work.scores, size, low, high, work.narrowed, work.narrowed_room);
  if (!found.complete || found.above >= k || found.above + found.between < k) {
    return kth_largest(work.scores, size, k, guess);
  }
  return kth_largest<A>(work.narrowed, found.between, k - found.above, low);
}

template Threshold<float> kth_candidate(const Simd&, const Workspace<float>&, std::size_t);
template Threshold<double> kth_candidate(const Simd&, const Workspace<double>&, std::size_t);
template Threshold<float> kth_largest(const float*, std::size_t, std::size_t, Bits<float>);
template Threshold<double> kth_largest(const double*, std::size_t, std::size_t, Bits<double>);

namespace {

/// Collects again without the guess, which was above the k-th score.
template <class A>
void collect_all(const Simd& simd, const Plan& plan, const Memory& memory,
                 const Workspace<A>& work) {
  auto* residual = static_cast<A*>(memory.residual);
  ++work.header->fallbacks;
  Candidates<A> candidates(simd, plan, memory, work);
  candidates.give_back();
  candidates.clear(0);
  for_each_chunk(plan, candidates,
                 [&](std::size_t begin, std::size_t size, const Appender<A>& out, Bits<A> bound) {
                   return run_chunk(simd.collect(Tag<A>{}), simd_portable.collect(Tag<A>{}), size,
                                    residual + begin, size, bound, out);
                 });
}

template <class A>
void select(const Simd& simd, const Plan& plan, const Memory& memory, const Workspace<A>& work) {
  const WorkspaceHeader& header = *work.header;
  if (!header.finite || plan.k == plan.count) return;  // nothing is sent, or everything
  const auto guess = static_cast<Bits<A>>(header.guess);
  const auto kth = [&] { return Candidates<A>(simd, plan, memory, work).kth(); };
  // The proof: what was left out scores below the guess, so k candidates must reach it.
  Threshold<A> threshold;
  if (header.candidates >= plan.k) threshold = kth();
  if (header.candidates < plan.k || threshold.bits < guess) {
    collect_all(simd, plan, memory, work);
    threshold = kth();
  }
  if (header.candidates > plan.k) {
    Candidates<A>(simd, plan, memory, work).keep(plan.blocks(), threshold);
  }
}

}  // namespace

void select(const Simd& simd, const Plan& plan, const Memory& memory, void* workspace) {
  visit_accumulator(plan.accumulator(), [&]<class A>(Tag<A>) {
    select<A>(simd, plan, memory, Workspace<A>(plan, workspace));
  });
}

}  // namespace sparccl::host
