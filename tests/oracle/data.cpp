#include "data.hpp"

#include <algorithm>
#include <cmath>

#include "number.hpp"

namespace sparccl::test {
namespace {

using Random = std::mt19937_64;

double uniform(Random& random, double low, double high) {
  return std::uniform_real_distribution<double>(low, high)(random);
}

double sign(Random& random) { return (random() & 1) != 0 ? -1.0 : 1.0; }

double value_of(Pattern pattern, std::size_t i, std::size_t count, DataType type, Random& random) {
  const double share = static_cast<double>(i + 1) / static_cast<double>(count);
  switch (pattern) {
    case Pattern::gaussian: return std::normal_distribution<double>()(random);
    case Pattern::all_equal: return 0.75;
    case Pattern::all_zero: return 0.0;
    case Pattern::one_spike: return i == count / 3 ? -3.0 : 0.0;
    case Pattern::columns: return (i % 2048 == 5 ? 8.0 : 0.5) * uniform(random, -1, 1);
    case Pattern::denormals:
      return smallest_subnormal(type) * std::floor(uniform(random, -300, 300));
    case Pattern::signed_zeros: return i % 97 == 13 ? 1.0 : sign(random) * 0.0;
    case Pattern::ascending: return share;
    case Pattern::descending: return -1.0 / (share + 0.01);
    case Pattern::clusters: return (i / 512 % 19 == 7 ? 4.0 : 0.01) * uniform(random, -1, 1);
    case Pattern::heavy_tails: {
      const double range = type == DataType::float16 ? 4 : 15;
      return sign(random) * std::pow(10.0, uniform(random, -range, range));
    }
    case Pattern::near_largest: return sign(random) * largest(type) * uniform(random, 0.4, 1.0);
    case Pattern::few_values: return sign(random) * std::floor(uniform(random, 0, 5));
    case Pattern::negative_equal: return sign(random) * 1.5;
  }
  return 0;
}

}  // namespace

std::string_view name_of(Pattern pattern) {
  constexpr std::string_view names[] = {
      "gaussian",    "all_equal",    "all_zero",   "one_spike",     "columns",
      "denormals",   "signed_zeros", "ascending",  "descending",    "clusters",
      "heavy_tails", "near_largest", "few_values", "negative_equal"};
  return names[static_cast<std::size_t>(pattern)];
}

std::vector<double> make_data(Pattern pattern, std::size_t count, DataType type,
                              std::uint64_t seed) {
  Random random(seed);
  std::vector<double> values(count);
  for (std::size_t i = 0; i < count; ++i) {
    const double x = round_to(type, value_of(pattern, i, count, type, random));
    values[i] = std::clamp(x, -largest(type), largest(type));
  }
  return values;
}

std::vector<double> make_integers(std::size_t count, int most, std::uint64_t seed) {
  Random random(seed);
  std::vector<double> values(count);
  for (double& x : values) x = std::uniform_int_distribution<int>(-most, most)(random);
  return values;
}

}  // namespace sparccl::test
