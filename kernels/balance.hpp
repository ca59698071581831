// Where the ranges of Path::split begin, once it is known how many entries each was asked to take.
#pragma once

#include <cstdint>

#include "formulas.hpp"

namespace sparccl {

/// New bounds [ranks + 1], such that each range would have got as many entries if those of each old
/// range were spread evenly over it; no range longer than `longest`. demand: [ranks], becomes 0.
/// next: [ranks + 1] scratch. The same bits on hosts and devices, of which each has its own Words.
template <class Words>
SPARCCL_DEVICE void balance(Words bounds, Words demand, Words next, int ranks,
                            std::uint64_t longest) {
  const auto size = static_cast<std::uint64_t>(ranks);
  const std::uint64_t count = bounds[size];
  std::uint64_t total = 0;
  for (std::uint64_t r = 0; r < size; ++r) total += demand[r];
  if (total == 0) return;
  next[0] = 0;
  next[size] = count;
  std::uint64_t old = 0;     // the old range that the new bound falls into
  std::uint64_t before = 0;  // entries in the old ranges before it
  for (std::uint64_t r = 1; r < size; ++r) {
    const std::uint64_t target = total / size * r + total % size * r / size;
    while (old + 1 < size && before + demand[old] <= target) before += demand[old++];
    const std::uint64_t length = bounds[old + 1] - bounds[old];
    std::uint64_t inside = 0;
    if (demand[old] != 0) {
      const double share = static_cast<double>(target - before) / static_cast<double>(demand[old]);
      inside = static_cast<std::uint64_t>(share * static_cast<double>(length));
    }
    std::uint64_t bound = bounds[old] + (inside < length ? inside : length);
    // Not so far from the last bound, nor from the end, that a range would be too long.
    const std::uint64_t rest = (size - r) * longest;
    const std::uint64_t least = count > rest ? count - rest : 0;
    const std::uint64_t most = next[r - 1] + longest;
    if (bound < next[r - 1]) bound = next[r - 1];
    if (bound < least) bound = least;
    if (bound > most) bound = most;
    next[r] = bound < count ? bound : count;
  }
  for (std::uint64_t r = 0; r <= size; ++r) bounds[r] = next[r];
  for (std::uint64_t r = 0; r < size; ++r) demand[r] = 0;
}

}  // namespace sparccl
