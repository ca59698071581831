// The checker of sparccl_perf finds what is wrong, and nothing in what is right.
#include <gtest/gtest.h>

#include <cstring>
#include <string>
#include <vector>

#include "check.hpp"
#include "checks.hpp"
#include "failures.hpp"
#include "threads.hpp"

namespace sparccl::perf {
namespace {

constexpr int ranks_of_test = 4;
constexpr int steps = 4;

struct Given {
  DataType type = DataType::float32;
  double density = 0.05;
  double mu = 0;
  Reduction reduction = Reduction::sum;
  Expect expect = Expect::oracle;
  Path path = Path::allgather;
  std::size_t count = 5000;
};

/// What a test does to a step's result or residual before it is looked at.
using Harm = std::function<void(int rank, int step, std::span<std::byte> result,
                                std::span<std::byte> residual)>;

/// Wrong entries of all ranks of each step.
std::vector<std::uint64_t> wrong_steps(const Given& given, const Harm& harm = {}) {
  std::vector<std::uint64_t> wrong(steps);
  const int status = run_threads(ranks_of_test, [&](Ranks& ranks) {
    const std::size_t count = given.count;
    Communicator communicator = ranks.communicator({.ranks_per_node = 2});
    SparseAllreduce tensor(communicator, "check", count, given.type,
                           {.density = given.density,
                            .mu = given.mu,
                            .reduction = given.reduction,
                            .path = given.path});
    const Integers integers =
        exact_integers(given.type, given.type, given.reduction, ranks.size(), steps);
    const CheckShape shape{count,    tensor.k(), given.type,  given.reduction,
                           given.mu, given.path, {0, 0, 1, 1}};
    Checker checker(ranks, shape, integers);
    std::vector<std::byte> gradient(count * size_of(given.type)), result(gradient.size());
    std::vector<std::byte> residual(count * size_of(accumulator_of(given.type)));
    for (int step = 0; step < steps; ++step) {
      checker.next(gradient);
      tensor(gradient.data(), result.data());
      std::memcpy(residual.data(), tensor.residual(), residual.size());
      if (harm) harm(ranks.rank(), step, result, residual);
      const auto all = ranks.gather(checker.wrong(result, residual, given.expect));
      if (ranks.rank() != 0) continue;
      for (const std::uint64_t each : all) wrong[static_cast<std::size_t>(step)] += each;
    }
    return 0;
  });
  EXPECT_EQ(status, 0);
  return wrong;
}

const std::vector<std::uint64_t> none(steps, 0);

TEST(Check, FindsNothingInWhatIsRight) {
  for (const DataType type :
       {DataType::float16, DataType::bfloat16, DataType::float32, DataType::float64}) {
    for (const double density : {0.0001, 0.05, 1.0}) {
      for (const double mu : {0.0, 2.0}) {
        SCOPED_TRACE(std::string(name_of(type)) + " " + std::to_string(density));
        EXPECT_EQ(wrong_steps({.type = type, .density = density, .mu = mu}), none);
      }
    }
  }
  EXPECT_EQ(wrong_steps({.mu = 2, .reduction = Reduction::avg}), none);
  EXPECT_EQ(wrong_steps({.type = DataType::float16, .reduction = Reduction::avg}), none);
}

TEST(Check, KnowsWhatEachPathSelects) {
  for (const Path path : {Path::split, Path::hierarchical}) {
    for (const std::size_t count : {1, 3, 50, 5000, 70001}) {
      if (path == Path::hierarchical && count < 2) continue;  // less than ranks of a node
      for (const double density : {0.0001, 0.05, 0.3, 0.7, 1.0}) {
        if (count > 5000 && density != 0.05 && density != 0.7)
          continue;  // two will do: it takes long
        for (const double mu : {0.0, 2.0}) {
          SCOPED_TRACE(std::string(name_of(path)) + " " + std::to_string(count) + " density " +
                       std::to_string(density));
          const DataType type = mu > 0 && count > 50 ? DataType::float64 : DataType::float32;
          EXPECT_EQ(wrong_steps(
                        {.type = type, .density = density, .mu = mu, .path = path, .count = count}),
                    none);
        }
      }
    }
  }
}

/// What conserves, for nothing or next to nothing is sent: found in review.
TEST(Check, FindsAPathThatSendsTooLittle) {
  for (const Path path : {Path::allgather, Path::split, Path::hierarchical}) {
    const int status = run_threads(ranks_of_test, [&](Ranks& ranks) {
      constexpr std::size_t count = 5000;
      Communicator communicator = ranks.communicator({.ranks_per_node = 2});
      SparseAllreduce tensor(communicator, "few", count, DataType::float32,
                             {.k = 20, .mu = 0, .path = path});
      Checker checker(ranks, {count, 400, DataType::float32, Reduction::sum, 0, path, {0, 0, 1, 1}},
                      {1, 1000});
      std::vector<std::byte> gradient(count * sizeof(float)), result(gradient.size());
      checker.next(gradient);
      tensor(gradient.data(), result.data());
      const std::span residual(static_cast<const std::byte*>(tensor.residual()), gradient.size());
      EXPECT_GT(checker.wrong(result, residual, Expect::oracle), 100U) << name_of(path);
      return 0;
    });
    EXPECT_EQ(status, 0);
  }
}

/// Found in review: what was sent must be worth sending again, or damping it changes nothing.
TEST(Check, FindsAHistoryThatIsIgnored) {
  for (const double density : {0.001, 0.01, 0.3}) {
    for (const Path path : {Path::allgather, Path::split, Path::hierarchical}) {
      std::vector<std::uint64_t> wrong(2);
      const int status = run_threads(ranks_of_test, [&](Ranks& ranks) {
        constexpr std::size_t count = 16384;
        Communicator communicator = ranks.communicator({.ranks_per_node = 2});
        SparseAllreduce tensor(communicator, "topk", count, DataType::float32,
                               {.density = density, .mu = 0, .path = path});
        const Integers integers =
            exact_integers(DataType::float32, DataType::float32, Reduction::sum, ranks.size(), 2);
        const CheckShape shape{count, tensor.k(), DataType::float32, Reduction::sum,
                               2,     path,       {0, 0, 1, 1}};
        Checker checker(ranks, shape, integers);
        std::vector<std::byte> gradient(count * sizeof(float)), result(gradient.size());
        for (std::size_t step = 0; step < 2; ++step) {
          checker.next(gradient);
          tensor(gradient.data(), result.data());
          const std::span residual(static_cast<const std::byte*>(tensor.residual()),
                                   gradient.size());
          const std::uint64_t found = checker.wrong(result, residual, Expect::oracle);
          if (ranks.rank() == 0) wrong[step] = found;
        }
        return 0;
      });
      EXPECT_EQ(status, 0);
      EXPECT_EQ(wrong[0], 0U) << name_of(path) << " " << density;
      EXPECT_GT(wrong[1], 0U) << name_of(path) << " " << density;
    }
  }
}

TEST(Check, FindsAnEntryThatIsOffOnOneRank) {
  const auto wrong = wrong_steps({}, [](int rank, int step, auto result, auto) {
    if (rank != 1 || step != 2) return;
    const double found = read(DataType::float32, result.data(), 4321);
    write(DataType::float32, result.data(), 4321, found + 1);
  });
  EXPECT_EQ(wrong, (std::vector<std::uint64_t>{0, 0, 1, 0}));
}

TEST(Check, FindsAnEntryThatEveryRankHasLost) {
  // All agree, and the residual does not have it either.
  for (const Expect expect : {Expect::oracle, Expect::conservation}) {
    const auto wrong = wrong_steps({.expect = expect}, [](int, int step, auto result, auto) {
      if (step != 0) return;
      std::size_t position = 0;
      while (read(DataType::float32, result.data(), position) == 0) ++position;
      write(DataType::float32, result.data(), position, 0);
    });
    EXPECT_EQ(wrong[0], ranks_of_test);
  }
}

TEST(Check, FindsASelectionThatConservesButIsAnother) {
  // An entry that went into the result is put back into the residual of one rank: nothing is lost.
  const Harm put_back = [](int rank, int step, auto result, auto residual) {
    if (step != steps - 1) return;
    std::size_t position = 0;
    while (read(DataType::float32, result.data(), position) == 0) ++position;
    const double value = read(DataType::float32, result.data(), position);
    write(DataType::float32, result.data(), position, 0);
    const double left = read(DataType::float32, residual.data(), position);
    if (rank == 0) write(DataType::float32, residual.data(), position, left + value);
  };
  EXPECT_EQ(wrong_steps({.expect = Expect::conservation}, put_back), none);
  EXPECT_EQ(wrong_steps({}, put_back).back(), ranks_of_test);
}

TEST(Check, FindsAResidualThatHasLostSomething) {
  const auto wrong = wrong_steps({}, [](int rank, int step, auto, auto residual) {
    if (rank == 2 && step == 1) write(DataType::float32, residual.data(), 7, 0.5);
  });
  EXPECT_EQ(wrong[1], ranks_of_test);
}

TEST(Check, FindsBitsThatDifferFromRankZeros) {
  // -0 equals 0: only the bits tell.
  const auto wrong = wrong_steps({}, [](int rank, int step, auto result, auto) {
    if (rank != 1 || step != 3) return;
    std::size_t position = 0;
    while (read(DataType::float32, result.data(), position) != 0) ++position;
    write(DataType::float32, result.data(), position, -0.0);
  });
  EXPECT_EQ(wrong, (std::vector<std::uint64_t>{0, 0, 0, 1}));
}

TEST(Check, FindsNaN) {
  const auto wrong = wrong_steps({}, [](int, int step, auto result, auto) {
    if (step == 1) write(DataType::float32, result.data(), 0, std::nan(""));
  });
  EXPECT_EQ(wrong, (std::vector<std::uint64_t>{0, ranks_of_test, 0, 0}));
}

TEST(Check, OfASparseResultThatShouldBeDense) {
  EXPECT_GT(wrong_steps({.expect = Expect::dense})[0], 1000u);
  EXPECT_EQ(wrong_steps({.density = 1, .expect = Expect::dense}), none);
}

TEST(Integers, RefusesWhatCannotBeExact) {
  EXPECT_THROW(static_cast<void>(
                   exact_integers(DataType::bfloat16, DataType::bfloat16, Reduction::sum, 64, 5)),
               UsageError);
  EXPECT_EQ(exact_integers(DataType::bfloat16, DataType::bfloat16, Reduction::sum, 8, 2).most, 16);
  EXPECT_EQ(exact_integers(DataType::float32, DataType::bfloat16, Reduction::sum, 8, 1).most, 256);
  EXPECT_EQ(exact_integers(DataType::float32, DataType::float32, Reduction::avg, 12, 1).unit, 3);
}

TEST(Integers, TakeBothSignsAndAllOfTheirRange) {
  const Integers integers{3, 2};
  std::vector<int> seen(5);
  for (std::size_t j = 0; j < 1000; ++j) {
    const std::int32_t value = integers(1, 0, j);
    ASSERT_EQ(value % 3, 0);
    ASSERT_LE(std::abs(value), 6);
    ++seen[static_cast<std::size_t>(value / 3 + 2)];
  }
  for (const int times : seen) EXPECT_GT(times, 60);
}

}  // namespace
}  // namespace sparccl::perf
