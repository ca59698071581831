// A run that is saved, ended and loaded into new objects gives the bits of one that never stopped.
#include <filesystem>

#include <gtest/gtest.h>

#include "world.hpp"

namespace sparccl::test {
namespace {

class StateResume : public testing::Test {
 protected:
  StateResume() {
    const auto* test = testing::UnitTest::GetInstance()->current_test_info();
    folder_ = std::filesystem::path(testing::TempDir()) /
              (std::string("sparccl_resume_") + test->name() + "_" + std::to_string(getpid()));
    std::filesystem::create_directories(folder_);
  }
  ~StateResume() override { std::filesystem::remove_all(folder_); }

  [[nodiscard]] std::filesystem::path file(int rank) const {
    return folder_ / ("rank" + std::to_string(rank));
  }
  void save(World& world) {
    world.each([&](SparseAllreduce& tensor, int rank) { tensor.save(file(rank)); });
  }
  void load(World& world) {
    world.each([&](SparseAllreduce& tensor, int rank) { tensor.load(file(rank)); });
  }

  std::filesystem::path folder_;
};

TEST_F(StateResume, GivesTheBitsOfAnUninterruptedRun) {
  std::mt19937_64 random(401 + variation());
  for (int round = 0; round < rounds(25); ++round) {
    const Shape shape = random_shape(random, 60'000);
    SCOPED_TRACE(describe(shape));
    std::vector<std::vector<Vector>> inputs;
    for (int t = 0; t < 5; ++t) inputs.push_back(random_gradients(shape, random));
    const std::size_t stop = random() % 4;  // after so many steps; 0: a fresh state
    World whole(shape);
    auto interrupted = std::make_unique<World>(shape);
    for (std::size_t t = 0; t < inputs.size(); ++t) {
      if (t == stop) {
        save(*interrupted);
        interrupted = std::make_unique<World>(shape);
        load(*interrupted);
        ASSERT_EQ(interrupted->states(), whole.states());
      }
      ASSERT_EQ(interrupted->step(inputs[t]), whole.step(inputs[t])) << "step " << t;
      ASSERT_EQ(interrupted->states(), whole.states()) << "step " << t;
    }
  }
}

/// Saved under one density, loaded under another: residual and history stay what they are.
TEST_F(StateResume, AcrossAChangeOfDensity) {
  const Shape before{.ranks = 3, .count = 20'000, .k = 5'000, .mu = 2};
  Shape after = before;
  std::mt19937_64 random(402 + variation());
  for (const std::size_t k : {std::size_t{20}, std::size_t{20'000}}) {
    after.k = k;
    World whole(before), first(before);
    for (int t = 0; t < 3; ++t) {
      const auto g = random_gradients(before, random);
      static_cast<void>(whole.step(g));
      static_cast<void>(first.step(g));
    }
    save(first);
    World second(after);
    load(second);
    whole.each([&](SparseAllreduce& tensor, int) { tensor.set_k(k); });
    ASSERT_EQ(second.states(), whole.states());
    for (int t = 0; t < 3; ++t) {
      const auto g = random_gradients(before, random);
      ASSERT_EQ(second.step(g), whole.step(g));
      ASSERT_EQ(second.states(), whole.states());
    }
  }
}

/// Loading over a state that is in use replaces all of it.
TEST_F(StateResume, IntoATensorThatHasRun) {
  const Shape shape{.ranks = 2, .count = 5'000, .k = 50, .mu = 2};
  std::mt19937_64 random(403 + variation());
  World world(shape);
  static_cast<void>(world.step(random_gradients(shape, random)));
  save(world);
  const auto saved = world.states();
  const auto g = random_gradients(shape, random);
  const auto expected = world.step(g);
  static_cast<void>(world.step(random_gradients(shape, random)));
  load(world);
  EXPECT_EQ(world.states(), saved);
  EXPECT_EQ(world.step(g), expected);
}

TEST_F(StateResume, SavingChangesNothingAndReplacesTheFile) {
  const Shape shape{.count = 3'000, .k = 30, .mu = 2};
  std::mt19937_64 random(404 + variation());
  World world(shape);
  for (int t = 0; t < 3; ++t) {
    static_cast<void>(world.step(random_gradients(shape, random)));
    const auto states = world.states();
    save(world);
    save(world);
    ASSERT_EQ(world.states(), states);
    World other(shape);
    load(other);
    ASSERT_EQ(other.states(), states);
  }
  const auto files = std::distance(std::filesystem::directory_iterator(folder_),
                                   std::filesystem::directory_iterator());
  EXPECT_EQ(files, 1) << "nothing unfinished is left behind";
}

TEST_F(StateResume, ReportsWhereItCannotWrite) {
  World world({.count = 10, .k = 1});
  expect_error([&] { world.tensor(0).save(folder_ / "no" / "such" / "folder"); },
               Result::system_error, {"fc1.weight", "folder", "expected", "found"});
}

}  // namespace
}  // namespace sparccl::test
