// Ranks that disagree about a call: an error on every rank that names rank and tensor, and no hang.
#include <vector>

#include "ranks_of_mpi.hpp"

namespace sparccl::test {
namespace {

/// One call per rank, in which the last rank may differ.
struct Asked {
  std::string name = "fc1";
  std::size_t count = 100;
  DataType type = DataType::float32;
  Options options = {.k = 10};
};

Outcome call(Communicator& communicator, const Asked& asked) {
  return outcome([&] {
    SparseAllreduce tensor(communicator, asked.name, asked.count, asked.type, asked.options);
    std::vector<double> buffer(asked.count, 0.5);
    tensor(buffer.data(), buffer.data());
  });
}

void expect_mismatch(Communicator& communicator, const Outcome& found, const std::string& name) {
  const std::string last = "rank " + std::to_string(communicator.size() - 1);
  EXPECT_EQ(found.code, Result::mismatch) << found;
  EXPECT_TRUE(found.mentions(last)) << found;
  EXPECT_TRUE(found.mentions("rank 0")) << found;
  EXPECT_TRUE(found.mentions(name)) << found;
}

class Disagreement : public testing::Test {
 protected:
  void SetUp() override {
    if (communicator.size() == 1) GTEST_SKIP() << "one rank agrees with itself";
  }

  void expect_mismatch_of(const Asked& others, const Asked& last) {
    const bool is_last = communicator.rank() == communicator.size() - 1;
    const Asked& mine = is_last ? last : others;
    expect_mismatch(communicator, call(communicator, mine), mine.name);
    // nobody's state has changed, so that the next call is a good one
    EXPECT_EQ(call(communicator, others).code, Result::success);
  }

  Communicator communicator = world();
};

TEST_F(Disagreement, Count) { expect_mismatch_of({.count = 100}, {.count = 101}); }

TEST_F(Disagreement, Type) { expect_mismatch_of({}, {.type = DataType::bfloat16}); }

TEST_F(Disagreement, K) { expect_mismatch_of({}, {.options = {.k = 11}}); }

TEST_F(Disagreement, Name) { expect_mismatch_of({.name = "fc1"}, {.name = "fc2"}); }

TEST_F(Disagreement, Mu) { expect_mismatch_of({}, {.options = {.k = 10, .mu = 3.0}}); }

TEST_F(Disagreement, Order) {
  const bool is_last = communicator.rank() == communicator.size() - 1;
  SparseAllreduce first(communicator, "first", 50, DataType::float32, {});
  SparseAllreduce second(communicator, "second", 50, DataType::float32, {});
  std::vector<float> x(50, 1.0f);
  const Outcome found = outcome([&] { (is_last ? second : first)(x.data(), x.data()); });
  expect_mismatch(communicator, found, is_last ? "second" : "first");
}

TEST_F(Disagreement, SparseAgainstDense) {
  const bool is_last = communicator.rank() == communicator.size() - 1;
  std::vector<float> x(100, 1.0f);
  const Outcome found = !is_last ? call(communicator, {}) : outcome([&] {
    communicator.all_reduce(x.data(), x.data(), 100, DataType::float32, Reduction::sum);
  });
  expect_mismatch(communicator, found, is_last ? "dense allreduce" : "fc1");
}

TEST_F(Disagreement, DenseCountTypeAndReduction) {
  const bool is_last = communicator.rank() == communicator.size() - 1;
  std::vector<double> x(100, 1.0);
  const auto reduce = [&](std::size_t count, DataType type, Reduction reduction) {
    return outcome([&] { communicator.all_reduce(x.data(), x.data(), count, type, reduction); });
  };
  constexpr DataType type = DataType::int64;
  expect_mismatch(communicator, reduce(is_last ? 99 : 100, type, Reduction::sum), "dense");
  expect_mismatch(communicator, reduce(10, is_last ? DataType::float64 : type, Reduction::sum),
                  "dense");
  expect_mismatch(communicator, reduce(10, type, is_last ? Reduction::max : Reduction::sum),
                  "dense");
  EXPECT_EQ(reduce(10, type, Reduction::sum).code, Result::success);
}

}  // namespace
}  // namespace sparccl::test
