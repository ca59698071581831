// Gradients to test with: seeded, and values of the type they are meant for.
#pragma once

#include <cstddef>
#include <cstdint>
#include <random>
#include <string_view>
#include <vector>

#include <sparccl/types.hpp>

namespace sparccl::test {

enum class Pattern {
  gaussian,
  all_equal,
  all_zero,
  one_spike,  // the rest zero
  columns,    // large every 2048 entries: the row length of a matrix
  denormals,
  signed_zeros,  // with a few small values between them
  ascending,
  descending,
  clusters,        // runs of large values
  heavy_tails,     // magnitudes over thirty powers of ten where the type has them
  near_largest,    // near the largest finite value
  few_values,      // five magnitudes: mass ties, both signs
  negative_equal,  // all equal but for the sign
};

inline constexpr Pattern all_patterns[] = {
    Pattern::gaussian,   Pattern::all_equal,     Pattern::all_zero,     Pattern::one_spike,
    Pattern::columns,    Pattern::denormals,     Pattern::signed_zeros, Pattern::ascending,
    Pattern::descending, Pattern::clusters,      Pattern::heavy_tails,  Pattern::near_largest,
    Pattern::few_values, Pattern::negative_equal};

[[nodiscard]] std::string_view name_of(Pattern pattern);

/// [count] values of `type`, the same for the same seed.
[[nodiscard]] std::vector<double> make_data(Pattern pattern, std::size_t count, DataType type,
                                            std::uint64_t seed);

/// Integers in [-most, most]: sums of a few of them are exact in every type.
[[nodiscard]] std::vector<double> make_integers(std::size_t count, int most, std::uint64_t seed);

}  // namespace sparccl::test
