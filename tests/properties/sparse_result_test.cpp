// sparse() is operator() without the zeros.
#include <gtest/gtest.h>

#include "world.hpp"

namespace sparccl::test {
namespace {

TEST(SparseResult, EqualsTheDenseOne) {
  std::mt19937_64 random(801 + variation());
  for (int round = 0; round < rounds(30); ++round) {
    const Shape shape = random_shape(random, 80'000);
    SCOPED_TRACE(describe(shape));
    World dense(shape), sparse(shape);
    Oracle oracle(shape);
    for (int t = 0; t < 3; ++t) {
      const auto gradients = random_gradients(shape, random);
      const auto expected = dense.step(gradients);
      const auto residuals = dense.residuals();
      const Oracle::Outcome outcome = oracle.step(gradients, 1.0, residuals);
      sparse.each([&](SparseAllreduce& tensor, int rank) {
        const auto r = static_cast<std::size_t>(rank);
        const std::size_t capacity = tensor.sparse_capacity();
        EXPECT_EQ(capacity, std::min(shape.count, shape.k * std::size_t(shape.ranks)));
        auto [entries, positions, values] = run_sparse(tensor, to_bytes(shape.type, gradients[r]));
        ASSERT_LE(entries, capacity);
        for (std::size_t i = entries; i < capacity; ++i) ASSERT_EQ(positions[i], ~std::uint64_t{0});
        positions.resize(entries);
        ASSERT_EQ(positions, outcome.sent_by_any);
        Vector scattered(shape.count, 0.0);
        for (std::size_t i = 0; i < entries; ++i) {
          scattered[positions[i]] = load(shape.type, values.data(), i);
        }
        ASSERT_EQ(to_bytes(shape.type, scattered), expected[r]);
      });
      ASSERT_EQ(sparse.states(), dense.states()) << "step " << t;
    }
  }
}

/// The kind of output is each rank's own affair.
TEST(SparseResult, MayDifferFromRankToRank) {
  const Shape shape{.ranks = 2, .count = 1'000, .k = 10};
  World world(shape);
  Bytes dense;
  SparseResult sparse;
  world.each([&](SparseAllreduce& tensor, int rank) {
    Vector g(1'000);
    for (std::size_t i = 0; i < 1'000; ++i) g[i] = static_cast<double>((i * 37 + 11) % 1'000);
    const Bytes gradient = to_bytes(shape.type, g);
    if (rank == 0) {
      dense = run(tensor, gradient);
    } else {
      sparse = run_sparse(tensor, gradient);
    }
  });
  ASSERT_EQ(sparse.entries, 10u);
  for (std::size_t i = 0; i < sparse.entries; ++i) {
    EXPECT_EQ(load(shape.type, dense.data(), sparse.positions[i]),
              load(shape.type, sparse.values.data(), i));
  }
}

}  // namespace
}  // namespace sparccl::test
