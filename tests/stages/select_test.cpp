// accumulate, select and pack on one rank: exactly min(k, n) entries whatever the data, ties to the
// lower positions, the residual keeps the rest, and the same bits from every backend.
#include <set>

#include <gtest/gtest.h>

#include "data.hpp"
#include "rig.hpp"

namespace sparccl::test {
namespace {

/// Three steps on one rank, in lockstep with the oracle: the pattern, then nothing new (so that the
/// selection lives on what is left over), then other data.
void compare_run(const Shape& shape, Pattern pattern) {
  SCOPED_TRACE(testing::Message() << name_of(pattern) << " n " << shape.count << " k " << shape.k
                                  << " " << sparccl::name_of(shape.type) << " wire "
                                  << sparccl::name_of(shape.wire) << " mu " << shape.mu);
  const Vector gradients[] = {make_data(pattern, shape.count, shape.type, 1),
                              Vector(shape.count, 0.0),
                              make_data(Pattern::few_values, shape.count, shape.type, 2)};
  std::vector<Oracle::Outcome> outcomes;
  std::vector<Vector> residuals;
  Oracle oracle(shape);
  for (const Vector& gradient : gradients) {
    outcomes.push_back(oracle.step({&gradient, 1}));
    residuals.push_back(oracle.residual(0));
  }
  for (const BackendCase& backend : backends()) {
    SCOPED_TRACE(backend.name);
    Rig rig(backend, plan_of(shape));
    for (std::size_t t = 0; t < std::size(gradients); ++t) {
      SCOPED_TRACE(testing::Message() << "step " << t);
      rig.produce(gradients[t], 1.0, t);
      if (!outcomes[t].finite) {
        ASSERT_EQ(rig.flags(0), packet_non_finite);
        return;
      }
      ASSERT_EQ(rig.flags(0), 0u);
      ASSERT_EQ(rig.entries(0), shape.k);
      ASSERT_EQ(rig.positions(0), outcomes[t].positions[0]);
      ASSERT_EQ(rig.values(0), outcomes[t].values[0]);
      ASSERT_EQ(rig.residual(), residuals[t]);
      EXPECT_GE(rig.counts().candidates, shape.k);
      const Verdict verdict = rig.check();
      ASSERT_EQ(verdict.kind, Verdict::Kind::sum) << text_of(verdict.problem);
      ASSERT_EQ(rig.merge(verdict).dense(), outcomes[t].result);
    }
  }
}

std::set<std::size_t> some_k(std::size_t n) {
  std::set<std::size_t> ks = {1, n, (n + 999) / 1000, (n + 2) / 3};
  if (n > 1) ks.insert(n - 1);
  return ks;
}

class Select : public testing::TestWithParam<DataType> {};

TEST_P(Select, IsExactOnSmallTensors) {
  std::size_t turn = 0;
  for (const Pattern pattern : all_patterns) {
    for (const std::size_t n : {1, 2, 15, 16, 17, 31, 63, 64, 65, 127, 130, 257}) {
      for (const std::size_t k : some_k(n)) {
        if (!my_turn(turn++, 2)) continue;
        compare_run({.count = n, .k = k, .type = GetParam(), .wire = GetParam()}, pattern);
        if (HasFatalFailure()) return;
      }
    }
  }
}

TEST_P(Select, IsExactAroundAChunk) {
  std::size_t turn = 0;
  for (const Pattern pattern : all_patterns) {
    for (const std::size_t n : {8191, 8192, 8193}) {
      for (const std::size_t k : {std::size_t{1}, n / 100, n - 1}) {
        if (!my_turn(turn++, 2)) continue;
        compare_run({.count = n, .k = k, .type = GetParam(), .wire = GetParam()}, pattern);
        if (HasFatalFailure()) return;
      }
    }
  }
}

TEST_P(Select, IsExactOnLargeTensors) {
  constexpr std::size_t counts[] = {65535, 65536, 65537, 100003, 131072, 200000};
  std::size_t turn = static_cast<std::size_t>(GetParam());
  for (const Pattern pattern : all_patterns) {
    for (int i = 0; i < 2; ++i, ++turn) {
      const std::size_t n = counts[turn % std::size(counts)];
      const std::size_t ks[] = {n / 1000, n / 100, 1, n / 20, n};
      compare_run(
          {.count = n, .k = ks[turn % std::size(ks)], .type = GetParam(), .wire = GetParam()},
          pattern);
      if (HasFatalFailure()) return;
    }
  }
}

/// Enough candidates for a selection that samples its own list, at strides that the data may share.
TEST_P(Select, IsExactWhenManyAreSent) {
  constexpr std::size_t n = 300'000;
  for (const std::size_t k : {50'000, 150'000, 270'000, 299'999}) {
    for (const std::size_t stride : {0, 1, 73}) {
      SCOPED_TRACE(testing::Message() << "k " << k << " stride " << stride);
      Vector gradient =
          make_data(stride == 1 ? Pattern::few_values : Pattern::gaussian, n, GetParam(), k);
      for (std::size_t i = 0; stride > 1 && i < n; i += stride) {
        gradient[i] = k % 100'000 == 50'000 ? 0.0 : 1000.0;
      }
      const Shape shape{.count = n, .k = k, .type = GetParam(), .wire = GetParam()};
      Oracle oracle(shape);
      const Oracle::Outcome outcome = oracle.step({&gradient, 1});
      for (const BackendCase& backend : backends()) {
        SCOPED_TRACE(backend.name);
        Rig rig(backend, plan_of(shape));
        rig.produce(gradient);
        ASSERT_EQ(rig.positions(0), outcome.positions[0]);
        ASSERT_EQ(rig.residual(), oracle.residual(0));
      }
    }
  }
}

/// More blocks than a device works on at once, so that some of its own have nothing to do, and a
/// last one that ends early.
TEST_P(Select, IsExactWhereWorkIsUneven) {
  for (const std::size_t n : {3 * 65'536 + 5 * 4'096, 4 * 65'536 + 1, 5 * 65'536 - 4'097}) {
    for (const Pattern pattern : {Pattern::gaussian, Pattern::all_equal}) {
      compare_run({.count = n, .k = n / 500, .type = GetParam(), .wire = GetParam()}, pattern);
      if (HasFatalFailure()) return;
    }
  }
}

/// More ties at the threshold than the list of candidates has room for, on both sides of it.
TEST_P(Select, FillsUpMassTiesInPositionOrder) {
  constexpr std::size_t n = 150'001;
  for (const std::size_t k : {100, 20'000, 75'000}) {
    Vector gradient(n, 1.0);
    for (std::size_t i = 0; i < n; ++i) {
      if (i % 3 == 1) gradient[i] = -1.0;
      if (i % 1000 == 999) gradient[i] = 2.0;
      if (i % 1000 == 500) gradient[i] = 0.5;
    }
    const Shape shape{.count = n, .k = k, .type = GetParam(), .wire = GetParam()};
    Oracle oracle(shape);
    const Oracle::Outcome outcome = oracle.step({&gradient, 1});
    for (const BackendCase& backend : backends()) {
      SCOPED_TRACE(backend.name);
      Rig rig(backend, plan_of(shape));
      rig.produce(gradient);
      ASSERT_EQ(rig.positions(0), outcome.positions[0]);
      ASSERT_EQ(rig.residual(), oracle.residual(0));
    }
  }
}

/// What is sent last step is damped to nothing: scores of 0 among the candidates, and -0 sums.
TEST_P(Select, CountsDampedEntriesAsSmall) {
  for (const std::size_t n : {40, 70'000}) {
    const Shape shape{
        .ranks = 2, .count = n, .k = n / 4, .type = GetParam(), .wire = GetParam(), .mu = 2.0};
    for (const BackendCase& backend : backends()) {
      SCOPED_TRACE(backend.name);
      Oracle oracle(shape);
      std::vector<Rig> ranks;
      for (int r = 0; r < 2; ++r) ranks.emplace_back(backend, plan_of(shape, r));
      for (std::uint64_t t = 0; t < 4; ++t) {
        // The ranks cancel each other exactly in the first half: r = 0, so d = 0.
        std::vector<Vector> g(2, make_data(Pattern::few_values, n, GetParam(), t));
        for (std::size_t i = 0; i < n / 2; ++i) g[1][i] = -g[0][i];
        for (std::size_t r = 0; r < 2; ++r) ranks[r].produce(g[r], 1.0, t);
        exchange(ranks);
        std::vector<Vector> residuals;
        for (Rig& rank : ranks) residuals.push_back(rank.residual());
        const Oracle::Outcome outcome = oracle.step(g, 1.0, residuals);
        for (std::size_t r = 0; r < 2; ++r) {
          ASSERT_EQ(ranks[r].positions(static_cast<int>(r)), outcome.positions[r]) << "step " << t;
          ASSERT_EQ(residuals[r], oracle.residual(static_cast<int>(r)));
          ASSERT_EQ(ranks[r].merge(ranks[r].check()).dense(), outcome.result);
        }
      }
    }
  }
}

TEST_P(Select, RoundsToTheWireAndKeepsTheRest) {
  for (const DataType wire : floating_types) {
    if (wire == DataType::float64 && GetParam() != DataType::float64) continue;
    for (const Pattern pattern : {Pattern::gaussian, Pattern::heavy_tails, Pattern::near_largest,
                                  Pattern::denormals, Pattern::clusters}) {
      compare_run({.count = 3000, .k = 170, .type = GetParam(), .wire = wire}, pattern);
      compare_run({.count = 3000, .k = 3000, .type = GetParam(), .wire = wire, .mu = 2}, pattern);
      if (HasFatalFailure()) return;
    }
  }
}

/// The scale is applied in the accumulator type, product and sum rounded one after the other.
TEST_P(Select, AccumulatesWithoutFusing) {
  const Shape shape{.count = 5000, .k = 50, .type = GetParam(), .wire = GetParam()};
  const std::vector<BackendCase> all = backends();
  for (const double loss_scale : {1024.0, 3.0, 0.1, 65536.0 * 7}) {
    Oracle oracle(shape);
    std::vector<Rig> rigs;
    for (const BackendCase& backend : all) rigs.emplace_back(backend, plan_of(shape));
    for (std::uint64_t t = 0; t < 3; ++t) {
      const Vector gradient = make_data(Pattern::gaussian, shape.count, GetParam(), 40 + t);
      static_cast<void>(oracle.step({&gradient, 1}, loss_scale));
      for (Rig& rig : rigs) {
        rig.produce(gradient, 1.0 / loss_scale, t);
        ASSERT_EQ(rig.residual(), oracle.residual(0)) << "loss scale " << loss_scale;
        static_cast<void>(rig.merge(rig.check()));
      }
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Types, Select, testing::ValuesIn(floating_types),
                         [](const auto& test) { return std::string(name_of(test.param)); });

}  // namespace
}  // namespace sparccl::test
