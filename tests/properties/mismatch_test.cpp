// Ranks that disagree about a call: an error on every rank that names rank and tensor, no hang, no
// change of state, and the next call that agrees works.
#include <gtest/gtest.h>

#include "world.hpp"

namespace sparccl::test {
namespace {

const Shape base{.ranks = 3, .count = 1'000, .k = 20, .mu = 2};

struct Odd {
  std::string what;
  Shape shape = base;
  std::string name = "fc1.weight";
  std::vector<std::string> words;  // that the message must have besides
};

std::vector<Odd> odd_ones() {
  std::vector<Odd> all;
  const auto add = [&](const char* what, auto change, std::vector<std::string> words) {
    Odd odd{.what = what, .words = std::move(words)};
    change(odd);
    all.push_back(std::move(odd));
  };
  add("count", [](Odd& o) { o.shape.count = 1'001; }, {"1001", "1000"});
  add("smaller count", [](Odd& o) { o.shape.count = 999; }, {"999", "1000"});
  add("k", [](Odd& o) { o.shape.k = 21; }, {"21", "20"});
  add("type", [](Odd& o) { o.shape.type = DataType::float64; }, {"float64", "float32"});
  add("wire", [](Odd& o) { o.shape.wire = DataType::float16; }, {"float16", "float32"});
  add("mu", [](Odd& o) { o.shape.mu = 2.5; }, {"2.5"});
  add("distortion", [](Odd& o) { o.shape.distortion = Distortion::current; }, {"distortion"});
  add("reduction", [](Odd& o) { o.shape.reduction = Reduction::avg; }, {"avg", "sum"});
  add("name", [](Odd& o) { o.name = "fc2.weight"; }, {"fc2.weight", "fc1.weight"});
  add("long name", [](Odd& o) { o.name = std::string(200, 'x') + "a"; }, {"xxxx"});
  return all;
}

class Mismatch : public testing::TestWithParam<int> {};  // the rank that differs

TEST_P(Mismatch, IsAnErrorOnEveryRank) {
  for (const Odd& odd : odd_ones()) {
    SCOPED_TRACE(odd.what);
    std::vector<Communicator> ranks = Communicator::local(base.ranks);
    on_each(ranks, [&](Communicator& communicator) {
      const bool is_odd = communicator.rank() == GetParam();
      const Shape& own = is_odd ? odd.shape : base;
      SparseAllreduce tensor(communicator, is_odd ? odd.name : "fc1.weight", own.count, own.type,
                             options_of(own));
      SparseAllreduce agreed(communicator, "agreed", base.count, base.type, options_of(base));
      const Bytes gradient = to_bytes(own.type, Vector(own.count, 1.0));
      Bytes result(gradient.size(), std::byte{0x77});
      const Bytes untouched = result;
      const Bytes state = state_of(tensor);
      std::vector<std::string> words = odd.words;
      // Rank 0 is the yardstick: when it is the odd one, the first of the others differs from it.
      words.push_back("rank " + std::to_string(GetParam() == 0 ? 1 : GetParam()));
      words.push_back(is_odd ? odd.name.substr(0, 20) : "fc1.weight");
      for (int attempt = 0; attempt < 2; ++attempt) {
        expect_error([&] { tensor(gradient.data(), result.data()); }, Result::mismatch, words);
        EXPECT_EQ(state_of(tensor), state);
        EXPECT_EQ(result, untouched);
        EXPECT_EQ(tensor.stats().steps, 0u);
      }
      const Bytes ones = to_bytes(base.type, Vector(base.count, 1.0));
      Bytes sum(ones.size());
      agreed(ones.data(), sum.data());
      EXPECT_EQ(load(base.type, sum.data(), 0), 3.0);
      EXPECT_EQ(communicator.async_error(), Result::success);
    });
  }
}

INSTANTIATE_TEST_SUITE_P(OddRank, Mismatch, testing::Values(0, 1, 2));

TEST(Mismatch, OfTheOrderOfCalls) {
  on_local_ranks(2, [](Communicator& communicator) {
    SparseAllreduce a(communicator, "layer.a", 100, DataType::float32, {.k = 5});
    SparseAllreduce b(communicator, "layer.b", 100, DataType::float32, {.k = 5});
    std::vector<float> g(100, 1.0f), result(100);
    SparseAllreduce& first = communicator.rank() == 0 ? a : b;
    expect_error([&] { first(g.data(), result.data()); }, Result::mismatch,
                 {"layer.a", "layer.b", "rank 1"});
    a(g.data(), result.data());
    b(g.data(), result.data());
    EXPECT_EQ(result[0], 2.0f);
  });
}

TEST(Mismatch, OfTheStep) {
  const Shape shape{.ranks = 2, .count = 100, .k = 5};
  World world(shape);
  static_cast<void>(world.step({Vector(100, 1.0), Vector(100, 1.0)}));
  const std::string file = testing::TempDir() + "sparccl_step_" + std::to_string(getpid());
  world.tensor(1).save(file);
  static_cast<void>(world.step({Vector(100, 1.0), Vector(100, 1.0)}));
  world.tensor(1).load(file);  // rank 1 alone is a step behind
  std::remove(file.c_str());
  const auto states = world.states();
  world.each([&](SparseAllreduce& tensor, int) {
    std::vector<float> g(100, 1.0f), result(100);
    expect_error([&] { tensor(g.data(), result.data()); }, Result::mismatch,
                 {"fc1.weight", "rank 1", "step 1", "step 2"});
  });
  EXPECT_EQ(world.states(), states);
}

TEST(Mismatch, OfTheKindOfCall) {
  on_local_ranks(3, [](Communicator& communicator) {
    SparseAllreduce tensor(communicator, "mixed", 100, DataType::float32, {.k = 5});
    SparseAllgather gather(communicator, "mixed", 100, DataType::float32, 5);
    std::vector<float> g(100, 1.0f), result(100);
    const std::uint64_t position = 3;
    const auto call = [&] {
      if (communicator.rank() == 0) tensor(g.data(), result.data());
      if (communicator.rank() == 1) gather({&position, 1}, g.data());
      if (communicator.rank() == 2) {
        communicator.all_reduce(g.data(), result.data(), 100, DataType::float32, Reduction::sum);
      }
    };
    expect_error(call, Result::mismatch, {"rank 1", "mixed"});
    gather({&position, 1}, g.data());
    tensor(g.data(), result.data());
    EXPECT_EQ(result[0], 3.0f);
  });
}

TEST(Mismatch, OfADensityThatOneRankHasChanged) {
  World world({.ranks = 2, .count = 1'000, .k = 10});
  world.tensor(1).set_k(11);
  const auto states = world.states();
  world.each([&](SparseAllreduce& tensor, int) {
    std::vector<float> g(1'000, 1.0f), result(1'000);
    expect_error([&] { tensor(g.data(), result.data()); }, Result::mismatch,
                 {"k 10", "k 11", "rank 1"});
  });
  EXPECT_EQ(world.states(), states);
  world.tensor(0).set_k(11);
  EXPECT_EQ(world.step({Vector(1'000, 1.0), Vector(1'000, 1.0)})[0].size(), 4'000u);
}

}  // namespace
}  // namespace sparccl::test
