// The reduction of packets, over whole steps of several ranks that take turns on one thread.
#include <gtest/gtest.h>

#include "data.hpp"
#include "rig.hpp"

namespace sparccl::test {
namespace {

std::vector<Vector> gradients_of(const Shape& shape, Pattern pattern, std::uint64_t seed) {
  std::vector<Vector> gradients;
  const Vector common = make_data(pattern, shape.count, shape.type, seed);
  for (int r = 0; r < shape.ranks; ++r) {
    Vector g =
        make_data(Pattern::gaussian, shape.count, shape.type, 1000 * seed + 7 + std::uint64_t(r));
    for (std::size_t i = 0; i < g.size(); ++i) {
      const double sum = round_to(shape.type, g[i] + common[i] / 4);
      g[i] = std::clamp(sum, -largest(shape.type) / 4, largest(shape.type) / 4);
    }
    gradients.push_back(std::move(g));
  }
  return gradients;
}

Vector at(const Vector& dense, const Positions& positions) {
  Vector values;
  for (const std::uint64_t j : positions) values.push_back(dense[j]);
  return values;
}

/// Some steps on every backend, each reduced into another kind of output, against the oracle.
void compare_steps(const Shape& shape, int steps = 4) {
  SCOPED_TRACE(testing::Message() << "ranks " << shape.ranks << " n " << shape.count << " k "
                                  << shape.k << " " << name_of(shape.type) << " wire "
                                  << name_of(shape.wire) << " mu " << shape.mu << " "
                                  << name_of(shape.reduction));
  constexpr Rig::Into kinds[] = {Rig::Into::dense, Rig::Into::sparse, Rig::Into::in_place};
  Oracle oracle(shape);
  const std::vector<BackendCase> all = backends();
  std::vector<std::vector<Rig>> worlds(all.size());
  for (std::size_t b = 0; b < all.size(); ++b) {
    for (int r = 0; r < shape.ranks; ++r) worlds[b].emplace_back(all[b], plan_of(shape, r));
  }
  for (int t = 0; t < steps; ++t) {
    const auto seed = static_cast<std::uint64_t>(t);
    const auto gradients = gradients_of(shape, Pattern::columns, seed);
    for (std::vector<Rig>& world : worlds) {
      for (std::size_t r = 0; r < world.size(); ++r) world[r].produce(gradients[r], 1.0, seed);
      exchange(world);
    }
    std::vector<Vector> residuals;
    for (Rig& rank : worlds[0]) residuals.push_back(rank.residual());
    const Oracle::Outcome outcome = oracle.step(gradients, 1.0, residuals);
    for (std::size_t b = 0; b < all.size(); ++b) {
      for (std::size_t r = 0; r < worlds[b].size(); ++r) {
        SCOPED_TRACE(testing::Message() << all[b].name << " step " << t << " rank " << r);
        Rig& rank = worlds[b][r];
        ASSERT_EQ(rank.residual(), oracle.residual(static_cast<int>(r)));
        const Verdict verdict = rank.check();
        ASSERT_EQ(verdict.kind, Verdict::Kind::sum) << text_of(verdict.problem);
        const Rig::Into kind = kinds[(seed + r + b) % 3];
        const Merged merged = rank.merge(verdict, kind, shape.reduction, b + r + seed);
        ASSERT_TRUE(merged.canaries);
        if (kind == Rig::Into::sparse) {
          ASSERT_EQ(merged.positions, outcome.sent_by_any);
          ASSERT_EQ(merged.values, at(outcome.result, outcome.sent_by_any));
        } else {
          ASSERT_EQ(merged.dense(), outcome.result);
        }
      }
    }
  }
  EXPECT_LE(oracle.near_ties(), 2u);
}

class Merge : public testing::TestWithParam<DataType> {};

TEST_P(Merge, SumsInRankOrderForEveryWire) {
  for (const DataType wire : floating_types) {
    if (wire == DataType::float64 && GetParam() != DataType::float64) continue;
    for (const Reduction reduction : {Reduction::sum, Reduction::avg}) {
      for (const Distortion distortion : {Distortion::previous, Distortion::current}) {
        compare_steps({.ranks = 3,
                       .count = 9'000,
                       .k = 1'500,
                       .type = GetParam(),
                       .wire = wire,
                       .mu = 2,
                       .distortion = distortion,
                       .reduction = reduction});
        if (HasFatalFailure()) return;
      }
    }
  }
}

/// Results of more than a MiB go past the caches, to memory of any alignment; the last block and
/// the last tile end early.
TEST_P(Merge, StreamsLargeResults) {
  compare_steps({.ranks = 2,
                 .count = (1u << 20) / size_of(GetParam()) + 5'001,
                 .k = 900,
                 .type = GetParam(),
                 .wire = GetParam()},
                3);
}

TEST_P(Merge, TakesManyRanksAndFewEntries) {
  compare_steps({.ranks = 17,
                 .count = 300,
                 .k = 1,
                 .type = GetParam(),
                 .wire = GetParam(),
                 .mu = 1,
                 .reduction = Reduction::avg});
  compare_steps({.ranks = 5, .count = 1, .k = 1, .type = GetParam(), .wire = GetParam()});
  compare_steps({.ranks = 2, .count = 65'537, .k = 65'537, .type = GetParam(), .wire = GetParam()},
                2);
}

/// a + (b + c) is not (a + b) + c here: only rank order gives this sum.
TEST(MergeOrder, IsRankOrder) {
  const Shape shape{.ranks = 4, .count = 100, .k = 100};
  const double parts[] = {1.0, 0x1p24, -0x1p24, 0x1p-20};
  for (const BackendCase& backend : backends()) {
    std::vector<Rig> ranks;
    for (int r = 0; r < 4; ++r) ranks.emplace_back(backend, plan_of(shape, r));
    for (std::size_t r = 0; r < 4; ++r) ranks[r].produce(Vector(100, parts[r]));
    exchange(ranks);
    for (Rig& rank : ranks) {
      // 1 + 2^24 is 2^24 in float.
      EXPECT_EQ(rank.merge(rank.check()).dense(), Vector(100, 0x1p-20)) << backend.name;
    }
  }
}

TEST_P(Merge, WritesNaNAfterAStepThatWasNotFinite) {
  const Shape shape{.ranks = 2, .count = 70'000, .k = 64, .type = GetParam(), .wire = GetParam()};
  for (const BackendCase& backend : backends()) {
    SCOPED_TRACE(backend.name);
    std::vector<Rig> ranks;
    for (int r = 0; r < 2; ++r) ranks.emplace_back(backend, plan_of(shape, r));
    Vector bad(shape.count, 1.0);
    bad.back() = std::numeric_limits<double>::quiet_NaN();
    ranks[0].produce(Vector(shape.count, 1.0));
    ranks[1].produce(bad);
    exchange(ranks);
    for (Rig& rank : ranks) {
      const Verdict verdict = rank.check();
      ASSERT_EQ(verdict.kind, Verdict::Kind::non_finite);
      EXPECT_EQ(verdict.rank, 1);
      const Merged dense = rank.merge(verdict);
      EXPECT_TRUE(dense.canaries);
      const Vector values = dense.dense();
      EXPECT_TRUE(
          std::all_of(values.begin(), values.end(), [](double x) { return std::isnan(x); }));
      const Merged sparse = rank.merge(verdict, Rig::Into::sparse);
      EXPECT_TRUE(sparse.canaries);
      ASSERT_EQ(sparse.positions, Positions{0});
      EXPECT_TRUE(std::isnan(sparse.values[0]));
    }
  }
}

/// Sixteen-bit sums are added in float and rounded once.
TEST(MergeRounding, HappensOnce) {
  const Shape shape{
      .ranks = 3, .count = 8, .k = 8, .type = DataType::bfloat16, .wire = DataType::bfloat16};
  for (const BackendCase& backend : backends()) {
    std::vector<Rig> ranks;
    for (int r = 0; r < 3; ++r) ranks.emplace_back(backend, plan_of(shape, r));
    // 256 + 1 + 1: rounded at each addition it would stay 256 (ulp 2, ties to even).
    ranks[0].produce(Vector(8, 256.0));
    ranks[1].produce(Vector(8, 1.0));
    ranks[2].produce(Vector(8, 1.0));
    exchange(ranks);
    EXPECT_EQ(ranks[0].merge(ranks[0].check()).dense(), Vector(8, 258.0)) << backend.name;
  }
}

INSTANTIATE_TEST_SUITE_P(Types, Merge, testing::ValuesIn(floating_types),
                         [](const auto& test) { return std::string(name_of(test.param)); });

}  // namespace
}  // namespace sparccl::test
