// Path::automatic: all ranks take the same path at the same call, whatever each of them measured.
#include <chrono>
#include <cstdlib>
#include <filesystem>

#include <unistd.h>

#include <gtest/gtest.h>

#include "calibration.hpp"
#include "path_choice.hpp"
#include "sparse_allreduce.hpp"
#include "world.hpp"

namespace sparccl::test {
namespace {

Predictions predicted(double dense, double allgather, double split) {
  const auto taking = [](double seconds) { return Prediction{.compute = seconds}; };
  Predictions predictions;
  predictions.all = {taking(dense), taking(allgather), taking(split), std::nullopt};
  return predictions;
}

TEST(PathChoice, TriesOnlyWhatIsNear) {
  const PathChoice clear(predicted(2.0, 0.02, 0.2), true);
  EXPECT_TRUE(clear.settled());
  EXPECT_EQ(clear.path(), Path::allgather);
  EXPECT_FALSE(PathChoice(predicted(1.0, 0.9, 0.8), true).settled());
  EXPECT_TRUE(PathChoice(predicted(1.0, 0.9, 0.8), false).settled()) << "calls that do not block";
}

TEST(PathChoice, TriesDenseUnlessItIsFarOff) {
  PathChoice choice(predicted(1.0, 0.2, 0.9), true);
  EXPECT_EQ(choice.path(), Path::dense) << "5 times the fastest would be too slow for another path";
  EXPECT_TRUE(PathChoice(predicted(1.1, 0.09, 0.9), true).settled())
      << "longer than a look may take";
}

/// A probe that was disturbed must not rule out what is fastest: found in review.
TEST(PathChoice, LooksAtDenseThatIsPredictedFarOff) {
  for (const double found : {0.001, 0.5}) {
    PathChoice choice(predicted(0.565, 0.012, 0.9), true);
    for (std::size_t i = 0; i < PathChoice::looks_at_far; ++i) {
      ASSERT_EQ(choice.path(), Path::dense);
      choice.took(i == 0 ? 99 : found);
    }
    while (!choice.tried()) {
      ASSERT_EQ(choice.path(), Path::allgather);
      choice.took(0.012);
    }
    EXPECT_EQ(choice.figures().front(), found);
    choice.settle(choice.figures());
    EXPECT_EQ(choice.path(), found < 0.012 ? Path::dense : Path::allgather);
  }
}

PathChoice tried(double dense, double allgather) {
  PathChoice choice(predicted(dense, allgather, 100), true);
  for (std::size_t i = 0; i < 2 * (PathChoice::warmups + choice.measured_calls()); ++i) {
    EXPECT_FALSE(choice.tried());
    choice.took(1);
  }
  EXPECT_TRUE(choice.tried());
  choice.settle({dense, allgather});
  return choice;
}

TEST(PathChoice, StaysWithDenseUnlessATenthIsSaved) {
  EXPECT_EQ(tried(1.0, 0.91).path(), Path::dense);
  EXPECT_NE(tried(1.0, 0.91).reason().find("a tenth"), std::string::npos);
  EXPECT_EQ(tried(1.0, 0.89).path(), Path::allgather);
  EXPECT_EQ(tried(1.0, 1.5).reason().find("a tenth"), std::string::npos);
}

TEST(PathChoice, TriesShortCallsMoreOften) {
  EXPECT_EQ(PathChoice(predicted(1.0, 0.9, 0.8), true).measured_calls(), PathChoice::measured);
  EXPECT_EQ(PathChoice(predicted(1e-4, 1e-4, 1e-4), true).measured_calls(),
            PathChoice::measured_of_short);
}

TEST(PathChoice, GoesByWhatAllRanksFound) {
  PathChoice choice(predicted(1.0, 0.9, 0.8), true);
  for (const Path path : {Path::dense, Path::allgather, Path::split}) {
    for (std::size_t i = 0; i < PathChoice::warmups; ++i) choice.took(99);
    for (std::size_t i = 0; i < PathChoice::measured; ++i) {
      ASSERT_FALSE(choice.tried());
      ASSERT_EQ(choice.path(), path);
      choice.took(path == Path::dense ? 3 : path == Path::allgather ? 1 : 2);
    }
  }
  ASSERT_TRUE(choice.tried());
  EXPECT_EQ(choice.figures(), (std::vector<double>{3, 1, 2}));
  choice.settle({3, 4, 2});
  EXPECT_TRUE(choice.settled());
  EXPECT_EQ(choice.path(), Path::split);
  EXPECT_EQ(choice.reason().rfind("split: 2.0 s measured, against 3.0 s dense, 4.0 s allgather", 0),
            0u)
      << choice.reason();
}

/// Through all that is tried, nothing is lost, and every call has the same bits on every rank.
TEST(AutomaticPath, IsOneForAllRanks) {
  std::mt19937_64 random(800);
  for (const std::size_t count : {std::size_t{1'000}, std::size_t{100'000}}) {
    const Shape shape{
        .ranks = 4, .count = count, .k = count / 3, .path = Path::automatic, .ranks_per_node = 2};
    World world(shape);
    EXPECT_EQ(world.tensor(0).stats().path, Path::automatic);
    Vector balance(count);
    constexpr std::size_t most = 4 * (PathChoice::warmups + PathChoice::measured_of_short) + 2;
    for (std::size_t t = 0; t < most; ++t) {
      const auto gradients = integer_gradients(shape, 9, random);
      const auto results = world.step(gradients);
      for (const Bytes& result : results) ASSERT_EQ(result, results[0]) << t;
      for (std::size_t i = 0; i < count; ++i) {
        balance[i] -= load(shape.type, results[0].data(), i);
        for (const Vector& gradient : gradients) balance[i] += gradient[i];
      }
    }
    const Path path = world.tensor(0).stats().path;
    EXPECT_NE(path, Path::automatic);
    for (int r = 0; r < shape.ranks; ++r) {
      EXPECT_EQ(world.tensor(r).stats().path, path);
      EXPECT_EQ(world.tensor(r).stats().path_reason, world.tensor(0).stats().path_reason);
    }
    EXPECT_EQ(world.tensor(0).stats().path_reason.rfind(name_of(path), 0), 0u)
        << world.tensor(0).stats().path_reason;
    const auto residuals = world.residuals();
    for (std::size_t i = 0; i < count; ++i) {
      double rest = 0;
      for (const Vector& residual : residuals) rest += residual[i];
      ASSERT_EQ(rest, balance[i]) << i;
    }
    world.each([&](SparseAllreduce& tensor, int) { tensor.set_density(0.001); });
    EXPECT_EQ(world.tensor(0).stats().path, Path::automatic) << "it is chosen anew";
    static_cast<void>(world.step(integer_gradients(shape, 9, random)));
    EXPECT_NE(world.tensor(0).stats().path, Path::automatic);
  }
}

/// The probe takes a second, of which no stage is.
TEST(AutomaticPath, CountsNoProbeAsAStage) {
  const Shape shape{.ranks = 2, .count = 1'000, .k = 10, .path = Path::automatic};
  World world(shape);
  const auto began = std::chrono::steady_clock::now();
  static_cast<void>(world.step(std::vector<Vector>(2, Vector(shape.count, 1.0))));
  const std::chrono::duration<double> call = std::chrono::steady_clock::now() - began;
  EXPECT_GT(world.tensor(0).stats().seconds.total(), 0.0);
  EXPECT_LT(world.tensor(0).stats().seconds.total(), call.count() / 2);
}

/// Nor where the calls before were so short that stages were not timed.
TEST(AutomaticPath, CountsNoProbeAsAStageOfAShortCall) {
  const Shape shape{.ranks = 1, .count = 100, .k = 1, .path = Path::allgather};
  World world(shape);
  const std::vector<Vector> gradients(1, Vector(shape.count, 1.0));
  for (int t = 0; t < 101; ++t) static_cast<void>(world.step(gradients));
  world.tensor(0).set_path(Path::automatic);
  const auto began = std::chrono::steady_clock::now();
  static_cast<void>(world.step(gradients));
  const std::chrono::duration<double> call = std::chrono::steady_clock::now() - began;
  EXPECT_LT(world.tensor(0).stats().last_seconds.total(), call.count() / 2);
}

/// Tensors on a machine where everything costs nothing, so that each path is tried.
class TriedPaths : public testing::Test {
 protected:
  TriedPaths() : world_(tried) {
    file_ =
        std::filesystem::path(testing::TempDir()) / ("sparccl_free_" + std::to_string(getpid()));
    Costs free;
    free.machine = machine_of(world_.tensor(0).impl().communicator());
    free.stages.pass.points = free.stages.result.points = {{1, 0}};
    save_costs(free, file_);
    setenv("SPARCCL_CALIBRATION", file_.c_str(), 1);
  }
  ~TriedPaths() override {
    unsetenv("SPARCCL_CALIBRATION");
    std::filesystem::remove(file_);
  }

  /// Until a call was a trial of `path`.
  void reach(Path path) {
    const std::vector<Vector> gradients(4, Vector(tried.count, 1.0));
    do {
      static_cast<void>(world_.step(gradients));
      const Stats stats = world_.tensor(0).stats();
      ASSERT_EQ(stats.path_reason.rfind("being tried", 0), 0u) << stats.path_reason;
    } while (world_.tensor(0).stats().path != path);
  }

  static constexpr Shape tried{
      .ranks = 4, .count = 1'000, .k = 333, .path = Path::automatic, .ranks_per_node = 2};
  World world_;
  std::filesystem::path file_;
};

/// The next call may be on a path that has none.
TEST_F(TriedPaths, HaveNoSparseResult) {
  ASSERT_NO_FATAL_FAILURE(reach(Path::split));
  for (std::size_t t = 1; t < PathChoice::warmups + PathChoice::measured_of_short; ++t) {
    static_cast<void>(world_.step(std::vector<Vector>(4, Vector(tried.count))));
  }
  ASSERT_EQ(world_.tensor(0).stats().path, Path::split) << "the next is hierarchical";
  world_.each([&](SparseAllreduce& tensor, int) {
    expect_error([&] { static_cast<void>(run_sparse(tensor, Bytes(4'000))); },
                 Result::invalid_usage, {"fc1.weight", "sparse()", "tried"});
  });
  ASSERT_NO_FATAL_FAILURE(reach(Path::hierarchical));
}

/// Found in review: dense comes first, and what of its residual is at rest is no part of such a
/// state.
TEST_F(TriedPaths, CanBeSavedAndLoaded) {
  for (const Path path : {Path::dense, Path::allgather, Path::split, Path::hierarchical}) {
    ASSERT_NO_FATAL_FAILURE(reach(path));
    world_.each([&](SparseAllreduce& tensor, int rank) {
      const auto file = file_.string() + ".state" + std::to_string(rank);
      tensor.save(file);
      EXPECT_NO_THROW(tensor.load(file)) << name_of(path);
      std::filesystem::remove(file);
    });
  }
}

/// A rank that asks for the path that the others try just now would stay on it alone.
TEST_F(TriedPaths, AreLeftByAllRanksOrNone) {
  ASSERT_NO_FATAL_FAILURE(reach(Path::allgather));
  world_.tensor(2).set_path(Path::allgather);
  world_.each([&](SparseAllreduce& tensor, int) {
    expect_error([&] { static_cast<void>(run(tensor, Bytes(4'000))); }, Result::mismatch,
                 {"path allgather being tried by auto, call", "rank 2", "path allgather, sum"});
  });
  world_.each([](SparseAllreduce& tensor, int) { tensor.set_path(Path::allgather); });
  static_cast<void>(world_.step(std::vector<Vector>(4, Vector(tried.count))));
}

TEST(AutomaticPath, IsAllgatherWhereCalibrationIsOff) {
  const auto ranks = Communicator::local(2, {.calibration = "off"});
  std::vector<SparseAllreduce> tensors;
  for (const Communicator& rank : ranks) {
    tensors.emplace_back(rank, "a", 100, DataType::float32, Options{.path = Path::automatic});
  }
  run_ranks(
      2,
      [&](int rank) {
        std::vector<float> gradient(100, 1.0f);
        tensors[static_cast<std::size_t>(rank)](gradient.data(), gradient.data());
      },
      [] {});
  EXPECT_EQ(tensors[0].stats().path, Path::allgather);
  EXPECT_NE(tensors[0].stats().path_reason.find("off"), std::string::npos);
}

TEST(AutomaticPath, TellsWhatIsWrongWithItsCalibration) {
  const auto ranks = Communicator::local(2, {.calibration = "/nowhere/costs.json"});
  run_ranks(
      2,
      [&](int rank) {
        SparseAllreduce tensor(ranks[static_cast<std::size_t>(rank)], "fc1", 100, DataType::float32,
                               {.path = Path::automatic});
        std::vector<float> gradient(100, 1.0f);
        expect_error([&] { tensor(gradient.data(), gradient.data()); }, Result::bad_state,
                     {"fc1", "/nowhere/costs.json"});
      },
      [] {});
}

}  // namespace
}  // namespace sparccl::test
