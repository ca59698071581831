// What always holds, of the paths that the other tests do not take.
#include <cmath>
#include <filesystem>

#include <unistd.h>

#include <gtest/gtest.h>

#include "world.hpp"

namespace sparccl::test {
namespace {

/// A path and a shape of the world that it can be taken in.
struct Case {
  const char* name;
  Path path;
  int ranks, ranks_per_node;
};

/// Where calls are slow: two shapes of each test, sixteen ranks in one test.
class Paths : public testing::TestWithParam<Case> {
 protected:
  void SetUp() override {
    const std::string test = testing::UnitTest::GetInstance()->current_test_info()->name();
    if (calls_are_slow() && GetParam().ranks > 8 && !test.starts_with("LoseNothingAndAgree/"))
      GTEST_SKIP() << "every call is slow here";
  }

  /// Small integers add up exactly in every type, so that what is compared is equal or wrong.
  [[nodiscard]] Shape shape(std::size_t count, std::size_t k, DataType type) const {
    return {.ranks = GetParam().ranks,
            .count = count,
            .k = k,
            .type = type,
            .wire = type,
            .mu = 1,
            .path = GetParam().path,
            .ranks_per_node = GetParam().ranks_per_node};
  }
  [[nodiscard]] std::vector<Shape> shapes() const {
    std::vector<Shape> all;
    std::size_t i = GetParam().name[0] + variation();
    const auto add = [&](std::size_t count, std::size_t k) {
      Shape each = shape(count, k, floating_types[i++ % 4]);
      if (i % 3 == 0 && each.type != DataType::float64) each.wire = DataType::bfloat16;
      if (i % 5 == 0) each.mu = 0;
      all.push_back(each);
    };
    constexpr std::pair<std::size_t, std::size_t> sizes[] = {
        {9, 1}, {9, 9}, {1'000, 1}, {1'000, 21}, {1'000, 333}};
    if (calls_are_slow()) {
      const auto [count, k] = sizes[i % std::size(sizes)];
      add(count, k);
      add(9'001, 180);  // two tiles in half of it
    } else {
      for (const auto& [count, k] : sizes) add(count, k);
      add(70'001, 1'400);
    }
    return all;
  }

  std::mt19937_64 random_{700 + variation()};
};

void expect_equal_on_all_ranks(const std::vector<Bytes>& results) {
  for (std::size_t r = 1; r < results.size(); ++r) ASSERT_EQ(results[r], results[0]) << r;
}

TEST_P(Paths, LoseNothingAndAgree) {
  for (const Shape& each : shapes()) {
    SCOPED_TRACE(describe(each));
    World world(each);
    Vector given(each.count), taken(each.count);
    for (int t = 0; t < 4; ++t) {
      const auto gradients = integer_gradients(each, 4, random_);
      const auto results = world.step(gradients);
      ASSERT_NO_FATAL_FAILURE(expect_equal_on_all_ranks(results));
      const Vector result = to_doubles(each.type, results[0].data(), each.count);
      for (std::size_t i = 0; i < each.count; ++i) {
        for (const Vector& gradient : gradients) given[i] += gradient[i];
        taken[i] += result[i];
      }
    }
    const auto residuals = world.residuals();
    for (std::size_t i = 0; i < each.count; ++i) {
      double all = taken[i];
      for (const Vector& residual : residuals) all += residual[i];
      ASSERT_EQ(all, given[i]) << "entry " << i;
    }
    const Stats stats = world.tensor(0).stats();
    EXPECT_EQ(stats.steps, 4u);
    EXPECT_EQ(stats.path, each.path);
    EXPECT_EQ(stats.path_reason, "asked for");
  }
}

TEST_P(Paths, AtDensityOneAreTheDenseAllreduce) {
  for (Shape each : shapes()) {
    each.k = each.count;
    SCOPED_TRACE(describe(each));
    World world(each);
    for (int t = 0; t < 3; ++t) {
      const auto gradients = integer_gradients(each, 4, random_);
      const auto results = world.step(gradients);
      Vector sum(each.count);
      for (const Vector& gradient : gradients) {
        for (std::size_t i = 0; i < each.count; ++i) sum[i] += gradient[i];
      }
      for (const Bytes& result : results) {
        ASSERT_EQ(to_doubles(each.type, result.data(), each.count), sum);
      }
    }
  }
}

TEST_P(Paths, AverageOverAllRanks) {
  Shape each = shape(1'000, 1'000, DataType::float64);
  each.reduction = Reduction::avg;
  World world(each);
  const auto gradients = integer_gradients(each, 9, random_);
  const auto results = world.step(gradients);
  for (std::size_t i = 0; i < each.count; ++i) {
    double sum = 0;
    for (const Vector& gradient : gradients) sum += gradient[i];
    ASSERT_EQ(load(each.type, results[0].data(), i), sum / each.ranks);
  }
}

/// A loss scale of a power of two changes nothing but the scale.
TEST_P(Paths, TakeTheLossScaleBack) {
  const Shape each = shape(1'000, 100, DataType::float32);
  World plain(each), scaled(each);
  for (int t = 0; t < 3; ++t) {
    auto gradients = integer_gradients(each, 9, random_);
    const auto expected = plain.step(gradients);
    for (Vector& gradient : gradients) {
      for (double& g : gradient) g *= 1024;
    }
    ASSERT_EQ(scaled.step(gradients, 1024), expected);
  }
  EXPECT_EQ(scaled.states(), plain.states());
}

TEST_P(Paths, SkipStepsThatAreNotFinite) {
  for (const Shape& each : shapes()) {
    SCOPED_TRACE(describe(each));
    World world(each);
    World unharmed(each);
    for (int t = 0; t < 4; ++t) {
      auto gradients = integer_gradients(each, 4, random_);
      ASSERT_EQ(world.step(gradients), unharmed.step(gradients));
      const auto states = world.states();
      const auto rank = static_cast<std::size_t>(random_() % gradients.size());
      gradients[rank][random_() % each.count] = t % 2 == 0 ? NAN : -INFINITY;
      for (const Bytes& result : world.step(gradients)) {
        bool finite = true;
        for (const double x : to_doubles(each.type, result.data(), each.count)) {
          finite = finite && std::isfinite(x);
        }
        ASSERT_FALSE(finite);
      }
      ASSERT_EQ(world.states(), states);
    }
  }
}

TEST_P(Paths, ResumeWithTheBitsOfAnUninterruptedRun) {
  const auto folder =
      std::filesystem::path(testing::TempDir()) / ("sparccl_paths_" + std::to_string(getpid()));
  std::filesystem::create_directories(folder);
  const auto file = [&](int rank) { return folder / std::to_string(rank); };
  for (const Shape& each : shapes()) {
    SCOPED_TRACE(describe(each));
    World whole(each);
    auto interrupted = std::make_unique<World>(each);
    for (int t = 0; t < 4; ++t) {
      if (t == 2) {
        interrupted->each([&](SparseAllreduce& tensor, int rank) { tensor.save(file(rank)); });
        interrupted = std::make_unique<World>(each);
        interrupted->each([&](SparseAllreduce& tensor, int rank) { tensor.load(file(rank)); });
      }
      const auto gradients = random_gradients(each, random_);
      ASSERT_EQ(interrupted->step(gradients), whole.step(gradients));
    }
  }
  std::filesystem::remove_all(folder);
}

/// From allgather to this path and back: what was not sent is still there.
TEST_P(Paths, AreTakenAndLeftWithoutLoss) {
  Shape each = shape(2'000, 60, DataType::float32);
  each.path = Path::allgather;
  World world(each);
  Vector balance(each.count);
  for (int t = 0; t < 9; ++t) {
    if (t % 3 == 0) {
      const Path path = t == 3 ? GetParam().path : Path::allgather;
      world.each([&](SparseAllreduce& tensor, int) { tensor.set_path(path); });
    }
    const auto gradients = integer_gradients(each, 9, random_);
    const auto results = world.step(gradients);
    ASSERT_NO_FATAL_FAILURE(expect_equal_on_all_ranks(results));
    for (std::size_t i = 0; i < each.count; ++i) {
      balance[i] -= load(each.type, results[0].data(), i);
      for (const Vector& gradient : gradients) balance[i] += gradient[i];
    }
    const auto residuals = world.residuals();
    for (std::size_t i = 0; i < each.count; ++i) {
      double rest = 0;
      for (const Vector& residual : residuals) rest += residual[i];
      ASSERT_EQ(rest, balance[i]) << "step " << t << " entry " << i;
    }
  }
}

TEST_P(Paths, OfAnotherRankAreAMismatch) {
  if (GetParam().ranks == 1) GTEST_SKIP() << "there is no other";
  World world(shape(1'000, 10, DataType::float32));
  if (asynchronous(world.tensor(0))) GTEST_SKIP() << "calls have returned by then";
  static_cast<void>(world.step(std::vector<Vector>(std::size_t(GetParam().ranks), Vector(1'000))));
  world.tensor(GetParam().ranks - 1).set_path(Path::allgather);
  world.each([&](SparseAllreduce& tensor, int) {
    expect_error([&] { static_cast<void>(run(tensor, Bytes(4'000))); }, Result::mismatch,
                 {std::string("path ") + name_of(GetParam().path), "path allgather", "fc1.weight",
                  "rank " + std::to_string(GetParam().ranks - 1)});
  });
}

INSTANTIATE_TEST_SUITE_P(
    All, Paths,
    testing::Values(Case{"dense", Path::dense, 3, 0}, Case{"dense_alone", Path::dense, 1, 0},
                    Case{"split_of_2", Path::split, 2, 0}, Case{"split_of_5", Path::split, 5, 0},
                    Case{"split_of_16", Path::split, 16, 0}, Case{"split_alone", Path::split, 1, 0},
                    Case{"nodes_of_2", Path::hierarchical, 4, 2},
                    Case{"nodes_of_3", Path::hierarchical, 6, 3}),
    [](const auto& each) { return std::string(each.param.name); });

TEST(Hierarchy, NeedsNodesOfEquallyManyRanks) {
  struct {
    int ranks, each;
    const char* found;
  } const bad[] = {{4, 0, "1 node of 4"}, {4, 1, "4 nodes of 1, 1, 1, 1"}, {5, 2, "2, 2, 1"}};
  for (const auto& [ranks, each, found] : bad) {
    const Shape shape{
        .ranks = ranks, .count = 100, .k = 10, .path = Path::hierarchical, .ranks_per_node = each};
    World world(shape);
    world.each([&, text = found](SparseAllreduce& tensor, int) {
      expect_error([&] { static_cast<void>(run(tensor, Bytes(400))); }, Result::invalid_argument,
                   {"fc1.weight", "hierarchical", "at least 2 nodes", text, "ranks_per_node"});
    });
  }
}

/// Found in review: one rank alone would have begun with an exchange that the others do not make.
TEST(Hierarchy, RefusesARankThatBeganAtAnotherCall) {
  const Shape shape{
      .ranks = 4, .count = 1'000, .k = 10, .path = Path::hierarchical, .ranks_per_node = 2};
  World world(shape);
  if (asynchronous(world.tensor(0))) GTEST_SKIP() << "calls have returned by then";
  const std::vector<Vector> gradients(4, Vector(shape.count, 1.0));
  static_cast<void>(world.step(gradients));
  world.tensor(1).set_k(10);  // what it does already
  static_cast<void>(world.step(gradients));
  world.tensor(1).set_k(20);
  world.tensor(1).set_k(10);
  world.each([&](SparseAllreduce& tensor, int) {
    expect_error([&] { static_cast<void>(run(tensor, Bytes(4'000))); }, Result::mismatch,
                 {"fc1.weight", "path hierarchical begun at step 0"});
  });
  world.each([&](SparseAllreduce& tensor, int) { tensor.set_k(20); });
  world.each([&](SparseAllreduce& tensor, int) { tensor.set_k(10); });
  static_cast<void>(world.step(gradients));
}

/// A history of longer shards does not belong to these; the residual does.
TEST(Hierarchy, TakesStatesOfNodesOfOtherSizes) {
  if (calls_are_slow()) GTEST_SKIP() << "every call is slow here";
  const auto folder =
      std::filesystem::path(testing::TempDir()) / ("sparccl_nodes_" + std::to_string(getpid()));
  std::filesystem::create_directories(folder);
  const auto file = [&](int rank) { return folder / std::to_string(rank); };
  Shape shape{.ranks = 8,
              .count = 300'000,
              .k = 60'000,
              .mu = 1,
              .path = Path::hierarchical,
              .ranks_per_node = 2};
  std::mt19937_64 random(790);
  World pairs(shape);
  static_cast<void>(pairs.step(integer_gradients(shape, 9, random)));
  pairs.each([&](SparseAllreduce& tensor, int rank) { tensor.save(file(rank)); });
  shape.ranks_per_node = 4;
  World fours(shape);
  fours.each([&](SparseAllreduce& tensor, int rank) { tensor.load(file(rank)); });
  Vector balance(shape.count);
  for (const Vector& residual : pairs.residuals()) {
    for (std::size_t i = 0; i < shape.count; ++i) balance[i] += residual[i];
  }
  const auto gradients = integer_gradients(shape, 9, random);
  const Bytes result = fours.step(gradients)[0];
  for (std::size_t i = 0; i < shape.count; ++i) {
    for (const Vector& gradient : gradients) balance[i] += gradient[i];
    balance[i] -= load(shape.type, result.data(), i);
  }
  fours.each([&](SparseAllreduce& tensor, int rank) {
    ASSERT_EQ(history_entries_of(tensor), tensor.stats().last_entries) << rank;
    tensor.save(file(rank));
    tensor.load(file(rank));
  });
  for (const Vector& residual : fours.residuals()) {
    for (std::size_t i = 0; i < shape.count; ++i) balance[i] -= residual[i];
  }
  EXPECT_EQ(balance, Vector(shape.count, 0.0));
  std::filesystem::remove_all(folder);
}

}  // namespace
}  // namespace sparccl::test
