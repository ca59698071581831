// The candidates of one pass: entries that have left the residual for a list.
#pragma once

#include <algorithm>
#include <cmath>

#include "host/select.hpp"
#include "host/workspace.hpp"

namespace sparccl::host {

template <class A>
class Candidates {
 public:
  Candidates(const Simd& simd, const Plan& plan, const Memory& memory, const Workspace<A>& work)
      : simd_(simd),
        plan_(plan),
        work_(work),
        residual_(static_cast<A*>(memory.residual)),
        ratios_(static_cast<const A*>(memory.sent_ratios)),
        capacity_(candidate_capacity(plan)),
        history_(memory.sent_per_block, plan.blocks(), memory.sent_offsets) {}

  /// Starts with an empty list. guess: bits of a score that k entries should reach.
  void clear(Bits<A> guess) {
    work_.header->candidates = 0;
    work_.header->guess = bound_ = guess;
    std::fill_n(work_.per_block, plan_.blocks(), 0u);
  }

  /// What an entry must reach to matter.
  [[nodiscard]] Bits<A> bound() const { return bound_; }

  /// Makes room for the chunk [begin, begin + size): a full list is thinned out to its k best. From
  /// then on only scores above the least of them matter, for of equal ones the lower positions win.
  void prepare(std::size_t begin, std::size_t size) {
    if (work_.header->candidates + size <= capacity_) return;
    const Threshold<A> threshold = kth();
    keep(begin / block_size + 1, threshold);
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

  /// The k-th largest score. There must be k candidates.
  [[nodiscard]] Threshold<A> kth() const { return kth_candidate(simd_, work_, plan_.k); }

  /// Keeps the candidates of blocks [0, blocks) that the threshold keeps, in order; the others
  /// return to the residual.
  void keep(std::size_t blocks, Threshold<A> threshold) {
    std::size_t from = 0;
    std::size_t to = 0;
    for (std::size_t block = 0; block < blocks; ++block) {
      const std::size_t before = to;
      for (const std::size_t end = from + work_.per_block[block]; from < end;) {
        const std::size_t size = std::min(end - from, split_size);
        const SplitResult r =
            simd_.split(Tag<A>{})(at(from), size, threshold.bits, at(to), work_.losers);
        put_back(block, work_.losers, r.processed - r.winners);
        from += r.processed;
        to += r.winners;
        if (r.processed < size) to += keep_one_by_one(block, from, to, end, threshold);
      }
      work_.per_block[block] = static_cast<std::uint32_t>(to - before);
    }
    work_.header->candidates = to;
  }

  /// Everything returns to the residual.
  void give_back() {
    std::size_t from = 0;
    for (std::size_t block = 0; block < plan_.blocks(); ++block) {
      put_back(block, at(from), work_.per_block[block]);
      from += work_.per_block[block];
    }
    work_.header->candidates = 0;
  }

 private:
  [[nodiscard]] List<A> at(std::size_t i) const {
    return {work_.offsets + i, work_.values + i, work_.scores + i};
  }

  /// Ties and what is left of a vector, a few at a time. Advances `from`, returns how many it kept.
  std::size_t keep_one_by_one(std::size_t block, std::size_t& from, std::size_t to, std::size_t end,
                              Threshold<A>& threshold) {
    std::size_t kept = 0;
    for (const std::size_t stop = std::min(from + padding, end); from < stop; ++from) {
      if (threshold.keeps(work_.scores[from])) {
        work_.offsets[to + kept] = work_.offsets[from];
        work_.values[to + kept] = work_.values[from];
        work_.scores[to + kept] = work_.scores[from];
        ++kept;
      } else {
        put_back(block, at(from), 1);
      }
    }
    return kept;
  }

  void put_back(std::size_t block, const List<A>& list, std::size_t size) {
    constexpr std::size_t ahead = 24;  // entries, each a cache line of its own
    A* const residual = residual_ + block * block_size;
    for (std::size_t i = 0; i < std::min(ahead, size); ++i) {
      __builtin_prefetch(residual + list.offsets[i], 1);
    }
    for (std::size_t i = 0; i < size; ++i) {
      if (i + ahead < size) __builtin_prefetch(residual + list.offsets[i + ahead], 1);
      residual[list.offsets[i]] = list.values[i];
    }
  }

  /// An entry that was sent last step is a candidate only if the residual is 0 there. Both lists
  /// ascend.
  void damp(std::size_t begin, std::size_t end, std::size_t first, std::size_t last) {
    A* const residual = residual_ + (begin - begin % block_size);
    const auto mu = damping_mu<A>(plan_.mu);
    const std::uint16_t* found = work_.offsets + first;
    const std::uint16_t* const beyond = work_.offsets + last;
    history_.visit(begin, end, [&](std::size_t offset, std::size_t index) {
      if (residual[offset] != A(0)) return;
      while (found != beyond && *found < offset) ++found;
      if (found == beyond || *found != offset) return;
      const auto i = static_cast<std::size_t>(found - work_.offsets);
      work_.scores[i] *= damping(plan_.distortion, ratios_[index], work_.values[i], mu);
    });
  }

  const Simd& simd_;
  const Plan& plan_;
  const Workspace<A>& work_;
  A* residual_;
  const A* ratios_;
  std::size_t capacity_;
  Entries history_;
  Bits<A> bound_ = 0;
};

/// loop(begin, size, appender, bound) over all entries, chunk by chunk. Returns how many were
/// written: all, or less if a sum was not finite.
template <class A, class Loop>
std::size_t for_each_chunk(const Plan& plan, Candidates<A>& candidates, Loop loop) {
  for (std::size_t begin = 0; begin < plan.count; begin += chunk_size) {
    const std::size_t end = std::min(begin + chunk_size, plan.count);
    candidates.prepare(begin, end - begin);
    for (std::size_t at = begin; at < end;) {  // whole groups of vectors, then the rest
      const ChunkResult r = loop(at, end - at, candidates.appender(at), candidates.bound());
      candidates.take(at, at + r.processed, r.appended);
      at += r.processed;
      if (!r.finite) return at;
    }
  }
  return plan.count;
}

/// The instruction set's loop for whole groups, the portable one for what it leaves.
template <class Chunk, class... Args>
ChunkResult run_chunk(Chunk fast, Chunk portable, std::size_t size, Args... args) {
  return size < 64 ? portable(args...) : fast(args...);
}

}  // namespace sparccl::host
