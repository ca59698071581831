// The k largest of a range's sums, on hosts.
#include <algorithm>
#include <functional>
#include <numeric>
#include <random>
#include <vector>

#include <gtest/gtest.h>

#include "host/split.hpp"

namespace sparccl::test {
namespace {

/// With many magnitudes a sample says which can matter: it must leave all that do.
TEST(Best, TakesTheLargestAndTheFirstOfEqualOnes) {
  std::mt19937_64 random(31);
  for (const std::size_t size : {100u, 8'191u, 8'192u, 30'000u}) {
    for (const std::size_t k : {std::size_t{1}, size / 50, size / 5, size / 4 + 1, size}) {
      for (const unsigned distinct : {1u, 3u, 1'000'000u}) {
        std::vector<float> all(size);
        for (float& each : all) each = static_cast<float>(random() % distinct);
        std::vector<std::size_t> expected(size);
        std::iota(expected.begin(), expected.end(), std::size_t{0});
        std::ranges::stable_sort(expected, std::greater{}, [&](std::size_t i) { return all[i]; });
        expected.resize(k);
        std::ranges::sort(expected);
        std::vector<float> scratch = all;
        host::Best<float> best(scratch.data(), size, k);
        std::vector<std::size_t> taken;
        for (std::size_t i = 0; i < size; ++i) {
          if (best.takes(all[i])) taken.push_back(i);
        }
        ASSERT_EQ(taken, expected) << size << " " << k << " " << distinct;
      }
    }
  }
}

}  // namespace
}  // namespace sparccl::test
