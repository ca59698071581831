// The candidates of one pass: entries that have left the residual for a list.
#pragma once

#include "host/select.hpp"
#include "host/workspace.hpp"

namespace sparccl::host {

template <class A>
class Candidates {
 public:
  /// bound: the sample's guess of a score that k entries reach.
  Candidates(const Plan& plan, const Memory& memory, const Workspace<A>& work, Bits<A> bound)
      : plan_(plan), work_(work), residual_(static_cast<A*>(memory.residual)),
        ratios_(static_cast<const A*>(memory.sent_ratios)), guess_(bound), bound_(bound),
        capacity_(candidate_capacity(plan)),
        history_(memory.sent_per_block, plan.blocks(), memory.sent_offsets) {
    work_.header->candidates = 0;
    std::fill_n(work_.per_block, plan_.blocks(), 0u);
  }

  /// What an entry must reach to matter.
  [[nodiscard]] Bits<A> bound() const { return bound_; }

  /// Whether the list holds the k best: the bound was a guess until k scores have reached it.
  [[nodiscard]] bool proven() const {
    std::size_t reached = 0;
    for (std::size_t i = 0; i < work_.header->candidates; ++i) {
      reached += magnitude_bits(work_.scores[i]) >= guess_ ? 1 : 0;
    }
    return reached >= plan_.k;
  }

  /// Makes room for the chunk [begin, begin + size): a full list is thinned out to its k best. From
  /// then on only scores above the least of them matter, for of equal ones the lower positions win.
  void prepare(std::size_t begin, std::size_t size) {
    if (work_.header->candidates + size <= capacity_) return;
    const Threshold<A> threshold =
        kth_largest(work_.scores, work_.header->candidates, plan_.k, guess_);
    Threshold<A> ask = threshold;
    keep(begin / block_size + 1, [&](std::size_t i) { return ask.keeps(work_.scores[i]); });
    bound_ = std::max(bound_, threshold.bits + 1);
  }

  /// Where the loop appends for entries from `begin` on.
  [[nodiscard]] Appender<A> appender(std::size_t begin) const {
    const std::size_t size = work_.header->candidates;
    return {static_cast<std::uint16_t>(begin % block_size), work_.offsets + size,
            work_.values + size};
  }

  /// Takes in what the loop appended for entries [begin, end).
  void take(std::size_t begin, std::size_t end, std::size_t appended) {
    const std::size_t first = work_.header->candidates;
    const std::size_t last = first + appended;
    for (std::size_t i = first; i < last; ++i) work_.scores[i] = std::abs(work_.values[i]);
    work_.per_block[begin / block_size] += static_cast<std::uint32_t>(appended);
    work_.header->candidates = last;
    work_.header->passed += appended;
    if (plan_.mu > 0) damp(begin, end, first, last);
  }

  /// Puts everything back into the residual.
  void give_back(std::size_t blocks) {
    keep(blocks, [](std::size_t) { return false; });
  }

 private:
  /// An entry that was sent last step is a candidate only if the residual is 0 there: few are, so
  /// few are looked up.
  void damp(std::size_t begin, std::size_t end, std::size_t first, std::size_t last) {
    const std::size_t base = begin - begin % block_size;
    const auto mu = static_cast<A>(plan_.mu);
    history_.visit(begin, end, [&](std::size_t offset, std::size_t index) {
      if (residual_[base + offset] != A(0)) return;
      const std::uint16_t* const at =
          std::lower_bound(work_.offsets + first, work_.offsets + last, offset);
      if (at == work_.offsets + last || *at != offset) return;
      const auto i = static_cast<std::size_t>(at - work_.offsets);
      work_.scores[i] *= damping(plan_.distortion, ratios_[index], work_.values[i], mu);
    });
  }

  /// Keeps the candidates that pass, in order; the others return to the residual.
  template <class Passes>
  void keep(std::size_t blocks, Passes passes) {
    std::size_t from = 0;
    std::size_t to = 0;
    for (std::size_t block = 0; block < blocks; ++block) {
      const std::size_t begin = to;
      for (const std::size_t end = from + work_.per_block[block]; from < end; ++from) {
        if (passes(from)) {
          work_.offsets[to] = work_.offsets[from];
          work_.values[to] = work_.values[from];
          work_.scores[to] = work_.scores[from];
          ++to;
        } else {
          residual_[block * block_size + work_.offsets[from]] = work_.values[from];
        }
      }
      work_.per_block[block] = static_cast<std::uint32_t>(to - begin);
    }
    work_.header->candidates = to;
  }

  const Plan& plan_;
  const Workspace<A>& work_;
  A* residual_;
  const A* ratios_;
  Bits<A> guess_;
  Bits<A> bound_;
  std::size_t capacity_;
  Entries history_;
};

}  // namespace sparccl::host
