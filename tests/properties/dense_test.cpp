// Density 1 is the dense allreduce, bit for bit with exactly representable inputs. Zeros compare by
// value: a dense sum of -0 is -0, a sparse one is scattered into +0.
#include <filesystem>
#include <limits>
#include <string>

#include <unistd.h>

#include <gtest/gtest.h>

#include "world.hpp"

namespace sparccl::test {
namespace {

void expect_dense(const Shape& shape, std::mt19937_64& random, int most) {
  SCOPED_TRACE(describe(shape));
  World world(shape);
  for (int t = 0; t < 3; ++t) {
    const auto gradients = integer_gradients(shape, most, random);
    const auto sparse = world.step(gradients);
    on_each(world.communicators(), [&](Communicator& communicator) {
      const auto rank = static_cast<std::size_t>(communicator.rank());
      const Bytes gradient = to_bytes(shape.type, gradients[rank]);
      Bytes dense(gradient.size());
      communicator.all_reduce(gradient.data(), dense.data(), shape.count, shape.type,
                              shape.reduction);
      EXPECT_EQ(sparse[rank], dense);
    });
    for (const Vector& e : world.residuals()) ASSERT_EQ(e, Vector(shape.count, 0.0));
  }
}

TEST(DensityOne, EqualsTheDenseAllreduce) {
  std::mt19937_64 random(201);
  for (int round = 0; round < 40; ++round) {
    Shape shape = random_shape(random, 100'000);
    shape.k = shape.count;
    expect_dense(shape, random, 100);  // eight bits: exact on every wire
    if (testing::Test::HasFailure()) return;
  }
}

TEST(DensityOne, IsWhatTheOptionSays) {
  const Shape shape{.ranks = 3, .count = 777, .k = 777};
  World world(shape, {.density = 1.0});
  EXPECT_EQ(world.tensor(0).k(), 777u);
}

/// Real numbers too, as long as each value is of the wire's type: both ways round the sum once.
TEST(DensityOne, EqualsTheDenseAllreduceOfRealNumbers) {
  for (const DataType type : floating_types) {
    for (const Reduction reduction : {Reduction::sum, Reduction::avg}) {
      const Shape shape{.ranks = 5,
                        .count = 5'000,
                        .k = 5'000,
                        .type = type,
                        .wire = type,
                        .mu = 2,
                        .reduction = reduction};
      SCOPED_TRACE(describe(shape));
      World world(shape);
      std::vector<Vector> gradients;
      for (int r = 0; r < shape.ranks; ++r) {
        gradients.push_back(make_data(Pattern::gaussian, shape.count, type, 50 + std::uint64_t(r)));
      }
      const auto sparse = world.step(gradients);
      on_each(world.communicators(), [&](Communicator& communicator) {
        const auto rank = static_cast<std::size_t>(communicator.rank());
        Bytes buffer = to_bytes(type, gradients[rank]);
        communicator.all_reduce(buffer.data(), buffer.data(), shape.count, type, reduction);
        EXPECT_EQ(to_doubles(type, sparse[rank].data(), shape.count),
                  to_doubles(type, buffer.data(), shape.count));
      });
    }
  }
}

/// 16-bit gradients: the first step sends the residual, whose rounding stays where it is while the
/// others are the dense allreduce; another path finds it there.
TEST(DensePath, LeavesTheRoundingOfTheResidualInPeace) {
  std::mt19937_64 random(203);
  for (const DataType type : {DataType::float16, DataType::bfloat16}) {
    Shape shape{.ranks = 3, .count = 3'000, .k = 30, .type = type, .wire = type};
    SCOPED_TRACE(describe(shape));
    World world(shape);
    for (int t = 0; t < 2; ++t) static_cast<void>(world.step(random_gradients(shape, random)));
    world.each([](SparseAllreduce& tensor, int) { tensor.set_path(Path::dense); });
    static_cast<void>(world.step(random_gradients(shape, random)));
    const auto rounding = world.residuals();
    ASSERT_NE(rounding, std::vector<Vector>(3, Vector(shape.count)));
    for (int t = 0; t < 2; ++t) {
      const auto gradients = random_gradients(shape, random);
      const auto results = world.step(gradients);
      ASSERT_EQ(world.residuals(), rounding);
      on_each(world.communicators(), [&](Communicator& communicator) {
        Bytes buffer = to_bytes(type, gradients[static_cast<std::size_t>(communicator.rank())]);
        communicator.all_reduce(buffer.data(), buffer.data(), shape.count, type, shape.reduction);
        EXPECT_EQ(results[0], buffer);
      });
    }
    world.each([](SparseAllreduce& tensor, int) { tensor.set_path(Path::allgather); });
    const auto zeros = std::vector<Vector>(3, Vector(shape.count));
    static_cast<void>(world.step(zeros));
    const auto rest = world.residuals();
    for (std::size_t r = 0; r < rest.size(); ++r) {
      std::size_t sent = 0;
      for (std::size_t i = 0; i < shape.count; ++i) sent += rest[r][i] != rounding[r][i] ? 1 : 0;
      EXPECT_EQ(sent, shape.k) << "rank " << r;
    }
  }
}

/// What a 16-bit type cannot hold goes with the next steps.
TEST(DensePath, SendsWhatDidNotFitTheTypeAgain) {
  const Shape shape{.ranks = 2,
                    .count = 4,
                    .k = 1,
                    .type = DataType::float16,
                    .wire = DataType::float16,
                    .reduction = Reduction::avg};
  World world(shape);
  const std::vector<Vector> large(2, Vector{49152, 49152, 1, 1});
  for (int t = 0; t < 8; ++t) static_cast<void>(world.step(large));
  world.each([](SparseAllreduce& tensor, int) { tensor.set_path(Path::dense); });
  const std::vector<Vector> nothing(2, Vector(4, 0));
  for (int t = 0; t < 6; ++t) static_cast<void>(world.step(nothing));
  EXPECT_EQ(world.residuals(), std::vector<Vector>(2, Vector(4, 0)));
}

/// A state that is saved then says that the residual is at rest: it is not sent once more.
TEST(DensePath, ResumesWithTheResidualAtRest) {
  std::mt19937_64 random(204);
  Shape shape{
      .ranks = 2, .count = 3'000, .k = 30, .type = DataType::bfloat16, .wire = DataType::bfloat16};
  World whole(shape);
  static_cast<void>(whole.step(random_gradients(shape, random)));
  whole.each([](SparseAllreduce& tensor, int) { tensor.set_path(Path::dense); });
  static_cast<void>(whole.step(random_gradients(shape, random)));
  const std::string file = testing::TempDir() + "sparccl_dense_" + std::to_string(getpid());
  const auto of = [&](int rank) { return file + "_" + std::to_string(rank); };
  whole.each([&](SparseAllreduce& tensor, int rank) { tensor.save(of(rank)); });
  shape.path = Path::dense;
  World resumed(shape);
  resumed.each([&](SparseAllreduce& tensor, int rank) {  // once more, before any step
    tensor.load(of(rank));
    tensor.save(of(rank));
    tensor.load(of(rank));
    tensor.set_k(shape.k);  // means nothing to this path
    std::filesystem::remove(of(rank));
  });
  const auto rounding = resumed.residuals();
  for (int t = 0; t < 2; ++t) {
    const auto gradients = random_gradients(shape, random);
    ASSERT_EQ(resumed.step(gradients), whole.step(gradients));
    ASSERT_EQ(resumed.residuals(), rounding);
  }
}

/// Without a residual a rank sends its gradient as it is, and looks at no result; one that has a
/// loss scale does. Both are in the same step afterwards, whatever the sum was.
TEST(DensePath, CountsStepsAlikeWhateverTheSumIs) {
  const Shape shape{.ranks = 2, .count = 1'000, .k = 10, .path = Path::dense};
  World world(shape);
  const auto gradients = std::vector<Vector>(2, Vector(shape.count, 1.0));
  static_cast<void>(world.step(gradients));
  world.each([&](SparseAllreduce& tensor, int rank) {
    const Vector bad(shape.count, std::numeric_limits<double>::quiet_NaN());
    static_cast<void>(run(tensor, to_bytes(shape.type, bad), rank == 0 ? 1.0 : 2.0));
  });
  const Vector sum(shape.count, 2.0);
  for (const Bytes& result : world.step(gradients)) {
    ASSERT_EQ(to_doubles(shape.type, result.data(), shape.count), sum);
  }
}

}  // namespace
}  // namespace sparccl::test
