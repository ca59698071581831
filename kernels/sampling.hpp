// How a sample bounds the k-th largest score, for hosts and devices alike.
#pragma once

#include <cmath>
#include <cstddef>
#include <cstdint>

#include "formulas.hpp"
#include "stages.hpp"

namespace sparccl {

/// The line of a group that is read, in [0, lines): a hash (splitmix64), for at the same place in
/// every group it would alias with the row lengths of matrices.
[[nodiscard]] SPARCCL_HOST_DEVICE constexpr std::size_t sampled_line(std::uint64_t seed,
                                                                     std::uint64_t group,
                                                                     std::size_t lines) {
  std::uint64_t x = (seed + 1) * 0x9e3779b97f4a7c15u ^ group;
  x = (x + 0x9e3779b97f4a7c15u);
  x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9u;
  x = (x ^ (x >> 27)) * 0x94d049bb133111ebu;
  return static_cast<std::size_t>((x ^ (x >> 31)) % lines);
}

/// How far down the sample the bound lies: of the k largest, q are expected in the sample, and more
/// than q + 6 sqrt(q + 1) practically never.
[[nodiscard]] inline std::size_t rank_in_sample(const Plan& plan, std::size_t sampled) {
  const double q =
      static_cast<double>(plan.k) * static_cast<double>(sampled) / static_cast<double>(plan.count);
  return static_cast<std::size_t>(std::ceil(q + 6.0 * std::sqrt(q + 1.0)));
}

}  // namespace sparccl
