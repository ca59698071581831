// The k-th largest of a list of scores, whatever was expected of it.
#include <algorithm>
#include <functional>
#include <random>
#include <vector>

#include <gtest/gtest.h>

#include "host/select.hpp"

namespace sparccl::test {
namespace {

template <class A>
class KthLargest : public testing::Test {};
using Accumulators = testing::Types<float, double>;
TYPED_TEST_SUITE(KthLargest, Accumulators);

template <class A>
void expect_kth(const std::vector<A>& scores, std::size_t k, host::Bits<A> expected_low) {
  std::vector<A> sorted = scores;
  std::ranges::sort(sorted, std::greater<>());
  const A kth = sorted[k - 1];
  const auto above =
      static_cast<std::size_t>(std::ranges::count_if(scores, [&](A score) { return score > kth; }));
  const auto found = host::kth_largest(scores.data(), scores.size(), k, expected_low);
  ASSERT_EQ(found.bits, magnitude_bits(kth)) << "k " << k << " expected_low " << expected_low;
  ASSERT_EQ(found.ties, k - above);
}

/// Scores close to each other, so that the expectation falls between them, above and below.
TYPED_TEST(KthLargest, DoesNotDependOnTheExpectation) {
  using A = TypeParam;
  std::mt19937_64 random(1);
  for (int round = 0; round < 400; ++round) {
    const A spread = std::ldexp(A(1), -static_cast<int>(random() % 24));
    // Few and many are told apart by digits of different sizes.
    std::vector<A> scores(1 + random() % (round % 8 == 0 ? 6000 : 300));
    for (A& score : scores) {
      score = A(1) + spread * static_cast<A>(random() % 1000) / A(500);
      if (random() % 16 == 0) score = 0;
      if (random() % 16 == 0) score *= A(1e20);
    }
    const std::size_t k = 1 + random() % scores.size();
    const host::Bits<A> near = magnitude_bits(scores[random() % scores.size()]);
    const auto off = static_cast<host::Bits<A>>(random() % 70'000);
    expect_kth<A>(scores, k, near);
    expect_kth<A>(scores, k, near + off);
    expect_kth<A>(scores, k, near > off ? near - off : 0);
    expect_kth<A>(scores, k, 0);
    expect_kth<A>(scores, k, magnitude_bits(std::numeric_limits<A>::max()));
  }
}

/// Found in review: the bin below the expectation reached past it.
TEST(KthLargestOfThree, StopsAtTheExpectation) {
  const std::vector<float> scores = {std::bit_cast<float>(0x3f810001u),
                                     std::bit_cast<float>(0x3f80ffffu),
                                     std::bit_cast<float>(0x3f80fffeu)};
  expect_kth<float>(scores, 2, 0x3f810000u);
}

}  // namespace
}  // namespace sparccl::test
