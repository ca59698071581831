#include "host/select.hpp"

#include <array>
#include <bit>

#include "host/host_stages.hpp"
#include "visit.hpp"

namespace sparccl::host {

// Radix selection that first cuts off what all scores have in common: the candidates of one tensor
// lie within a few powers of two, where a fixed leading digit would tell none of them apart.
template <class A>
Threshold<A> kth_largest(const A* scores, std::size_t size, std::size_t k) {
  constexpr int digit = 11;
  Bits<A> low = magnitude_bits(scores[0]);
  Bits<A> high = low;
  for (std::size_t i = 1; i < size; ++i) {
    low = std::min(low, magnitude_bits(scores[i]));
    high = std::max(high, magnitude_bits(scores[i]));
  }
  while (low != high) {
    const int shift = std::max(0, static_cast<int>(std::bit_width(high - low)) - digit);
    std::array<std::size_t, 1u << digit> bins{};
    for (std::size_t i = 0; i < size; ++i) {
      const Bits<A> bits = magnitude_bits(scores[i]);
      if (bits >= low && bits <= high) ++bins[(bits - low) >> shift];
    }
    std::size_t bin = (high - low) >> shift;
    for (; bins[bin] < k; --bin) k -= bins[bin];
    low += static_cast<Bits<A>>(bin) << shift;
    high = std::min(high, low + ((Bits<A>{1} << shift) - 1));
  }
  return {low, k};
}

template <class A>
Bits<A> keep_largest(const Workspace<A>& work, std::size_t blocks, std::size_t k) {
  const Threshold<A> threshold = kth_largest(work.scores, work.header->candidates, k);
  std::size_t ties = threshold.ties;
  std::size_t from = 0;
  std::size_t to = 0;
  for (std::size_t block = 0; block < blocks; ++block) {
    const std::size_t block_end = from + work.per_block[block];
    const std::size_t block_begin = to;
    for (; from < block_end; ++from) {
      const Bits<A> bits = magnitude_bits(work.scores[from]);
      const bool tie = bits == threshold.bits && ties != 0;
      const bool keep = bits > threshold.bits || tie;
      work.offsets[to] = work.offsets[from];  // to <= from: no branch to mispredict
      work.values[to] = work.values[from];
      work.scores[to] = work.scores[from];
      ties -= tie ? 1 : 0;
      to += keep ? 1 : 0;
    }
    work.per_block[block] = static_cast<std::uint32_t>(to - block_begin);
  }
  work.header->candidates = to;
  return threshold.bits;
}

template Threshold<float> kth_largest(const float*, std::size_t, std::size_t);
template Threshold<double> kth_largest(const double*, std::size_t, std::size_t);
template Bits<float> keep_largest(const Workspace<float>&, std::size_t, std::size_t);
template Bits<double> keep_largest(const Workspace<double>&, std::size_t, std::size_t);

void select(const Plan& plan, void* workspace) {
  visit_accumulator(plan.accumulator(), [&]<class A>(Tag<A>) {
    const Workspace<A> work(plan, workspace);
    if (work.header->finite && work.header->candidates > plan.k) {
      keep_largest(work, plan.blocks(), plan.k);
    }
  });
}

}  // namespace sparccl::host
