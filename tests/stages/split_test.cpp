// Path::split, stage by stage and rank by rank, against its plain definition: the same bits on
// every backend.
#include <cmath>

#include <gtest/gtest.h>

#include "balance.hpp"
#include "data.hpp"
#include "split_oracle.hpp"

namespace sparccl::test {
namespace {

using Into = SplitRank::Into;

struct Case {
  int ranks;
  std::size_t count, k;
  Pattern pattern = Pattern::gaussian;
  bool skewed = false;  // nearly all that is large lies in one range
};

std::ostream& operator<<(std::ostream& out, const Case& c) {
  return out << "P " << c.ranks << " n " << c.count << " k " << c.k << " " << name_of(c.pattern)
             << (c.skewed ? ", skewed" : "");
}

Vector gradient_of(const Case& c, DataType type, std::uint64_t seed) {
  Vector gradient = make_data(c.pattern, c.count, type, seed);
  if (!c.skewed) return gradient;
  const std::size_t begin = c.count / 2, end = begin + c.count / std::size_t(c.ranks) / 2;
  for (std::size_t i = 0; i < c.count; ++i) {
    if (i < begin || i >= end) gradient[i] = round_to(type, gradient[i] / 1024);
  }
  return gradient;
}

std::vector<SplitRank> make_ranks(const BackendCase& backend, const Shape& shape) {
  std::vector<SplitRank> ranks;
  for (int r = 0; r < shape.ranks; ++r) ranks.emplace_back(backend, plan_of(shape, r));
  return ranks;
}

/// One step of all ranks, whose gradients are finite, with every stage looked at.
void step(std::vector<SplitRank>& ranks, const std::vector<Vector>& gradients, Into into,
          Reduction reduction, std::size_t* trimmed = nullptr) {
  const SplitPlan split = ranks[0].split();
  std::vector<EntryList> owns;
  std::vector<Vector> residuals;
  for (std::size_t r = 0; r < ranks.size(); ++r) {
    ranks[r].produce(gradients[r]);
    owns.push_back(ranks[r].own());
    residuals.push_back(ranks[r].residual());
    ASSERT_EQ(owns[r].positions.size(), split.whole.k);
  }
  const std::vector<std::uint64_t> bounds = ranks[0].bounds();
  const SplitOracle oracle(split, bounds, owns, residuals);
  if (trimmed != nullptr) *trimmed += oracle.trimmed();
  for (std::size_t r = 0; r < ranks.size(); ++r) {
    SCOPED_TRACE(testing::Message() << "scatter of rank " << r);
    ranks[r].scatter();
    for (std::size_t to = 0; to < ranks.size(); ++to) {
      ASSERT_EQ(read_packet(split.sent, ranks[r].outgoing(int(to))), oracle.sent[r][to])
          << "to " << to;
    }
    ASSERT_EQ(ranks[r].own(), oracle.kept[r]);
    ASSERT_EQ(ranks[r].residual(), oracle.residuals_then[r]);
  }
  exchange_sent(ranks);
  for (std::size_t r = 0; r < ranks.size(); ++r) {
    SCOPED_TRACE(testing::Message() << "reduce of rank " << r);
    ranks[r].reduce();
    ASSERT_EQ(read_packet(split.reduced, ranks[r].reduced(int(r))), oracle.reduced[r]);
  }
  exchange_reduced(ranks);
  const EntryList result = oracle.result(reduction);
  Vector dense(into == Into::sparse ? 0 : split.whole.count, 0.0);
  for (std::size_t i = 0; i < result.positions.size() && into != Into::sparse; ++i) {
    dense[result.positions[i]] = result.values[i];
  }
  for (std::size_t r = 0; r < ranks.size(); ++r) {
    SCOPED_TRACE(testing::Message() << "join of rank " << r);
    const std::uint64_t entries = ranks[r].report().entries;
    const std::uint64_t steps = ranks[r].step(), calls = ranks[r].call();
    std::vector<std::uint64_t> demand = ranks[r].demand();
    ASSERT_EQ(ranks[r].judge().kind, Verdict::Kind::sum);
    ranks[r].restore();
    const Merged merged = ranks[r].join(into, reduction);
    ASSERT_TRUE(merged.canaries);
    if (into == Into::sparse) {
      ASSERT_EQ(merged.positions, result.positions);
      ASSERT_EQ(merged.values, result.values);
    } else {
      ASSERT_EQ(merged.dense(), dense);
    }
    ASSERT_EQ(ranks[r].residual(), oracle.residuals[r]);
    ASSERT_EQ(ranks[r].history(), oracle.histories[r]);
    ASSERT_EQ(ranks[r].report().last_entries, oracle.histories[r].positions.size());
    ASSERT_EQ(ranks[r].report().entries, entries + oracle.histories[r].positions.size());
    ASSERT_EQ(ranks[r].step(), steps + 1);
    ASSERT_EQ(ranks[r].call(), calls + 1);
    std::vector<std::uint64_t> next_bounds = bounds;
    if (split.balances) {
      for (std::size_t q = 0; q < ranks.size(); ++q) demand[q] += oracle.reduced[q].wanted;
      if ((steps + 1) % balance_every == 0) {
        std::vector<std::uint64_t> room(bounds.size());
        balance(next_bounds.data(), demand.data(), room.data(), int(ranks.size()),
                split.sent.count);
      }
    }
    ASSERT_EQ(ranks[r].demand(), demand);
    ASSERT_EQ(ranks[r].bounds(), next_bounds);
  }
}

std::vector<Vector> gradients_of(const Case& c, DataType type, std::uint64_t seed) {
  std::vector<Vector> gradients;
  for (int r = 0; r < c.ranks; ++r) {
    gradients.push_back(gradient_of(c, type, seed + std::uint64_t(r)));
  }
  return gradients;
}

class Split : public testing::TestWithParam<DataType> {};

TEST_P(Split, EveryStageIsAsDefined) {
  const Case cases[] = {
      {1, 1, 1},
      {1, 1'000, 10, Pattern::few_values},
      {2, 1, 1},
      {3, 2, 2, Pattern::all_equal},
      {8, 3, 1, Pattern::all_zero},
      {4, 5, 5},
      {2, 3'000, 3'000, Pattern::clusters},
      {3, 1'000, 100, Pattern::few_values, true},
      {4, 9'001, 400, Pattern::gaussian, true},
      {4, 9'001, 400, Pattern::all_equal},
      {4, 6'000, 50, Pattern::all_zero},
      {2, 200'001, 300, Pattern::clusters},
      {4, 70'001, 700, Pattern::negative_equal, true},
      {8, 100'000, 100},
      {8, 4'000, 600, Pattern::near_largest},
      {16, 20'000, 1'000, Pattern::one_spike},
      {64, 3'000, 64, Pattern::gaussian, true},
  };
  std::size_t turn = 0, trimmed = 0;
  for (const Case& c : cases) {
    const std::size_t i = turn++;
    if (c.ranks > 8 ? GetParam() != DataType::float32 : !my_turn(i, 2)) continue;
    std::vector<DataType> wires{GetParam()};
    if (GetParam() != DataType::float64) {  // by turns
      const DataType other = floating_types[i / 2 % 3];
      if (i % 2 != 0 && other != GetParam()) wires = {other};
    } else {
      wires.push_back(floating_types[i % 3]);
    }
    for (const DataType wire : wires) {
      const Shape shape{.ranks = c.ranks,
                        .count = c.count,
                        .k = c.k,
                        .type = GetParam(),
                        .wire = wire,
                        .mu = i % 2 == 0 ? 2.0 : 0.0,
                        .distortion = i % 4 == 0 ? Distortion::current : Distortion::previous};
      for (const BackendCase& backend : backends()) {
        SCOPED_TRACE(testing::Message() << backend.name << " wire " << name_of(wire) << " " << c);
        std::vector<SplitRank> ranks = make_ranks(backend, shape);
        const Into ways[] = {Into::dense, Into::sparse, Into::in_place};
        // What is near the largest twice is not finite.
        const std::size_t most = c.ranks > 8 || c.pattern == Pattern::near_largest ? 1 : 2;
        for (std::size_t s = 0; s < most; ++s) {
          step(ranks, gradients_of(c, GetParam(), 1'000 * s + i), ways[(i + s) % 3],
               s % 2 == 0 ? Reduction::sum : Reduction::avg, &trimmed);
          ASSERT_FALSE(HasFatalFailure());
        }
      }
    }
  }
  EXPECT_GT(trimmed, 100u);
}

/// Ranges of all lengths, empty ones among them, whose blocks begin anywhere.
TEST_P(Split, BoundsLieAnywhere) {
  const Case c{4, 140'000, 500, Pattern::clusters};
  const std::vector<std::uint64_t> anywhere[] = {{0, 0, 7, 139'999, 140'000},
                                                 {0, 65'536, 65'536, 140'000, 140'000},
                                                 {0, 0, 0, 0, 140'000},
                                                 {0, 140'000, 140'000, 140'000, 140'000},
                                                 {0, 4'097, 70'001, 131'071, 140'000}};
  const Shape shape{.ranks = 4, .count = c.count, .k = c.k, .type = GetParam(), .wire = GetParam()};
  std::size_t turn = 0;
  for (const auto& bounds : anywhere) {
    if (!my_turn(turn++, 2)) continue;
    for (const BackendCase& backend : backends()) {
      SCOPED_TRACE(testing::Message() << backend.name << " bounds " << turn - 1);
      std::vector<SplitRank> ranks = make_ranks(backend, shape);
      for (SplitRank& rank : ranks) rank.set_bounds(bounds);
      step(ranks, gradients_of(c, GetParam(), turn), Into::dense, Reduction::sum);
      step(ranks, gradients_of(c, GetParam(), 50 + turn), Into::sparse, Reduction::avg);
      ASSERT_FALSE(HasFatalFailure());
    }
  }
}

/// Found in review: where a range is of other entries than in the last call, what the last call
/// left must not lie in its way. Small tensors, whose buffers are as long as themselves, show it
/// best.
TEST_P(Split, BoundsMoveFromCallToCall) {
  std::mt19937_64 random(17);
  for (const std::size_t count : {std::size_t{300}, std::size_t{5'000}, std::size_t{30'000}}) {
    const Case c{3, count, count / 50, Pattern::gaussian};
    const Shape shape{
        .ranks = 3, .count = c.count, .k = c.k, .type = GetParam(), .wire = GetParam()};
    for (const BackendCase& backend : backends()) {
      SCOPED_TRACE(testing::Message() << backend.name << " of " << count);
      std::vector<SplitRank> ranks = make_ranks(backend, shape);
      const int calls = backend.name == "cuda" ? 3 : 12;
      for (int call = 0; call < calls; ++call) {
        std::uint64_t first = random() % (count + 1), second = random() % (count + 1);
        if (first > second) std::swap(first, second);
        for (SplitRank& rank : ranks) rank.set_bounds({0, first, second, count});
        step(ranks, gradients_of(c, GetParam(), 10 * std::uint64_t(call)), Into::dense,
             Reduction::sum);
        ASSERT_FALSE(HasFatalFailure()) << "call " << call;
      }
    }
  }
}

TEST_P(Split, RangesAreBalancedInTime) {
  const Case c{4, 20'000, 200, Pattern::gaussian, true};
  const Shape shape{.ranks = 4, .count = c.count, .k = c.k, .type = GetParam(), .wire = GetParam()};
  for (const BackendCase& backend : backends()) {
    SCOPED_TRACE(backend.name);
    std::vector<SplitRank> ranks = make_ranks(backend, shape);
    for (SplitRank& rank : ranks) {
      rank.set_counters(balance_every - 2, 0);
      rank.set_demand({10, 0, 5'000, 300});
    }
    const auto before = ranks[0].bounds();
    step(ranks, gradients_of(c, GetParam(), 1), Into::dense, Reduction::sum);
    EXPECT_EQ(ranks[0].bounds(), before);
    step(ranks, gradients_of(c, GetParam(), 11), Into::dense, Reduction::sum);
    EXPECT_NE(ranks[0].bounds(), before);
    EXPECT_EQ(ranks[0].demand(), std::vector<std::uint64_t>(4, 0));
    std::size_t trimmed = 0;
    step(ranks, gradients_of(c, GetParam(), 21), Into::dense, Reduction::sum, &trimmed);
    ASSERT_FALSE(HasFatalFailure());
  }
}

/// A gradient that is not finite, on any rank: all learn which, and nothing has happened.
TEST_P(Split, NonFiniteGradients) {
  const Case c{3, 9'000, 90, Pattern::gaussian, true};
  const Shape shape{.ranks = 3,
                    .count = c.count,
                    .k = c.k,
                    .type = GetParam(),
                    .wire = DataType::float16,
                    .mu = 2};
  for (const BackendCase& backend : backends()) {
    for (const std::size_t bad : {0, 2}) {
      SCOPED_TRACE(testing::Message() << backend.name << " rank " << bad);
      std::vector<SplitRank> ranks = make_ranks(backend, shape);
      step(ranks, gradients_of(c, GetParam(), 1), Into::dense, Reduction::sum);
      std::vector<Vector> residuals;
      std::vector<EntryList> histories;
      for (const SplitRank& rank : ranks) {
        residuals.push_back(rank.residual());
        histories.push_back(rank.history());
      }
      std::vector<Vector> gradients = gradients_of(c, GetParam(), 7);
      gradients[bad][4'000] = std::nan("");
      for (std::size_t r = 0; r < 3; ++r) {
        ranks[r].produce(gradients[r]);
        ranks[r].scatter();
      }
      exchange_sent(ranks);
      for (SplitRank& rank : ranks) rank.reduce();
      exchange_reduced(ranks);
      for (std::size_t r = 0; r < 3; ++r) {
        const Verdict verdict = ranks[r].judge();
        ASSERT_EQ(verdict.kind, Verdict::Kind::non_finite);
        ASSERT_EQ(verdict.rank, int(bad));
        ranks[r].restore();
        const Merged merged = ranks[r].join(r == 0 ? Into::sparse : Into::in_place, Reduction::sum);
        ASSERT_TRUE(merged.canaries);
        const Vector values = r == 0 ? merged.values : merged.dense();
        ASSERT_EQ(values.size(), r == 0 ? 1u : c.count);
        for (const double value : values) ASSERT_TRUE(std::isnan(value));
        ASSERT_EQ(ranks[r].step(), 1u);
        ASSERT_EQ(ranks[r].call(), 2u);
        ASSERT_EQ(ranks[r].report().non_finite_steps, 1u);
        ASSERT_EQ(ranks[r].report().last_entries, 0u);
        ASSERT_EQ(ranks[r].history(), histories[r]);
        const Vector after = ranks[r].residual();
        for (std::size_t i = 0; i < c.count; ++i) {
          const double g = std::isnan(gradients[r][i]) ? 0 : gradients[r][i];
          const double most =
              std::max({std::fabs(residuals[r][i]), std::fabs(g), std::fabs(residuals[r][i] + g)});
          ASSERT_LE(std::fabs(after[i] - residuals[r][i]), ulp(accumulator_of(GetParam()), most))
              << "rank " << r << " entry " << i;
        }
      }
      step(ranks, gradients_of(c, GetParam(), 9), Into::dense, Reduction::sum);
      ASSERT_FALSE(HasFatalFailure());
    }
  }
}

/// A step that the ranks disagree about changes nothing. Hosts throw before it comes to that.
TEST_P(Split, RefusedStepsDoNothing) {
  const Case c{2, 5'000, 50};
  const Shape shape{.ranks = 2, .count = c.count, .k = c.k, .type = GetParam(), .wire = GetParam()};
  for (const BackendCase& backend : backends()) {
    if (backend.name != "cuda") continue;
    std::vector<SplitRank> ranks = make_ranks(backend, shape);
    step(ranks, gradients_of(c, GetParam(), 1), Into::dense, Reduction::sum);
    SplitRank& rank = ranks[0];
    const Vector residual = rank.residual();
    const EntryList history = rank.history();
    const Bytes outgoing = rank.outgoing(1), reduced = rank.reduced(0);
    rank.refuse();
    rank.produce(gradient_of(c, GetParam(), 5));
    rank.scatter();
    rank.reduce();
    EXPECT_EQ(rank.outgoing(1), outgoing);
    EXPECT_EQ(rank.reduced(0), reduced);
    EXPECT_EQ(rank.judge().kind, Verdict::Kind::refused);
    rank.restore();
    const Merged merged = rank.join(Into::dense, Reduction::sum);
    for (const double value : merged.dense()) ASSERT_TRUE(std::isnan(value));
    EXPECT_EQ(rank.residual(), residual);
    EXPECT_EQ(rank.history(), history);
    EXPECT_EQ(rank.step(), 1u);
    EXPECT_EQ(rank.call(), 2u);
  }
}

INSTANTIATE_TEST_SUITE_P(Types, Split, testing::ValuesIn(floating_types),
                         [](const auto& test) { return std::string(name_of(test.param)); });

}  // namespace
}  // namespace sparccl::test
