// Arguments that are wrong on the face of it: an error before anything has happened, which says
// what was expected and what was found.
#include <cmath>

#include <gtest/gtest.h>

#include "wire.hpp"
#include "world.hpp"

namespace sparccl::test {
namespace {

const std::vector<std::string> sentence = {"expected", "found"};

std::vector<std::string> with(std::vector<std::string> words) {
  words.insert(words.end(), sentence.begin(), sentence.end());
  return words;
}

void expect_rejected(std::size_t count, DataType type, const Options& options,
                     std::vector<std::string> words, const std::string& name = "fc1.weight") {
  const std::vector<Communicator> one = Communicator::local(1);
  words.push_back(name);
  expect_error([&] { SparseAllreduce(one[0], name, count, type, options); },
               Result::invalid_argument, with(std::move(words)));
}

TEST(BadInput, Options) {
  const DataType f32 = DataType::float32;
  expect_rejected(0, f32, {}, {"count", "0"});
  expect_rejected(wire::max_count + 1, f32, {}, {"count"});
  expect_rejected(100, f32, {.k = 0}, {"k", "at least 1", "0"});
  expect_rejected(100, f32, {.k = 101}, {"k", "100", "101"});
  expect_rejected(100, f32, {.k = ~std::uint64_t{0}}, {"k", "18446744073709551615"});
  for (const double density :
       {0.0, -0.1, 1.0000001, 2.0, std::nan(""), -std::nan(""),
        std::numeric_limits<double>::infinity(), -std::numeric_limits<double>::infinity()}) {
    expect_rejected(100, f32, {.density = density}, {"density", "(0, 1]"});
  }
  for (const double mu : {-1.0, -1e-300, std::nan(""), std::numeric_limits<double>::infinity()}) {
    expect_rejected(100, f32, {.mu = mu}, {"mu", ">= 0"});
  }
  expect_rejected(100, f32, {.wire = DataType::float64}, {"wire", "float64", "float32"});
  expect_rejected(100, DataType::bfloat16, {.wire = DataType::float64}, {"wire", "bfloat16"});
  expect_rejected(100, f32, {.wire = DataType::int32}, {"wire", "int32"});
  expect_rejected(100, f32, {.wire = static_cast<DataType>(99)}, {"wire"});
  for (const Reduction reduction :
       {Reduction::prod, Reduction::max, Reduction::min, static_cast<Reduction>(9)}) {
    expect_rejected(100, f32, {.reduction = reduction}, {"reduction", "sum or avg"});
  }
  for (const DataType type :
       {DataType::int8, DataType::uint64, static_cast<DataType>(-1), static_cast<DataType>(10)}) {
    expect_rejected(100, type, {}, {"type"});
  }
  expect_rejected(100, f32, {.distortion = static_cast<Distortion>(2)}, {"distortion"});
  expect_rejected(100, f32, {.non_finite = static_cast<NonFinite>(-1)}, {"non-finite"});
  const std::vector<Communicator> one = Communicator::local(1);
  expect_error([&] { SparseAllreduce(one[0], "", 100, f32); }, Result::invalid_argument,
               with({"name"}));
}

TEST(BadInput, WorldSize) {
  for (const int size : {0, -1}) {
    expect_error([&] { static_cast<void>(Communicator::local(size)); }, Result::invalid_argument,
                 with({std::to_string(size)}));
  }
}

/// Calls with one wrong argument: the state stays, and a right call works after each.
class BadCall : public testing::Test {
 protected:
  BadCall() : world_({.count = 1'000, .k = 10, .mu = 2}) {
    std::mt19937_64 random(601);
    static_cast<void>(world_.step({make_data(Pattern::gaussian, 1'000, DataType::float32, 1)}));
  }

  void expect_rejected(const std::function<void()>& f, std::vector<std::string> words) {
    const Bytes before = state_of(tensor());
    const std::uint64_t steps = tensor().stats().steps;
    words.push_back("fc1.weight");
    expect_error(f, Result::invalid_argument, with(std::move(words)));
    EXPECT_EQ(state_of(tensor()), before);
    EXPECT_EQ(tensor().stats().steps, steps);
    tensor()(gradient_.data(), result_.data());
  }

  SparseAllreduce& tensor() { return world_.tensor(0); }

  World world_;
  std::vector<float> gradient_ = std::vector<float>(1'000, 0.5f);
  std::vector<float> result_ = std::vector<float>(1'000);
};

TEST_F(BadCall, NullPointers) {
  float* const none = nullptr;
  expect_rejected([&] { tensor()(none, result_.data()); }, {"null"});
  expect_rejected([&] { tensor()(gradient_.data(), none); }, {"null"});
  expect_rejected([&] { tensor()(none, none); }, {"null"});
  std::vector<std::uint64_t> positions(10);
  std::vector<float> values(10);
  expect_rejected(
      [&] { static_cast<void>(tensor().sparse(none, positions.data(), values.data())); }, {"null"});
  expect_rejected(
      [&] { static_cast<void>(tensor().sparse(gradient_.data(), nullptr, values.data())); },
      {"null"});
  expect_rejected(
      [&] { static_cast<void>(tensor().sparse(gradient_.data(), positions.data(), nullptr)); },
      {"null"});
}

TEST_F(BadCall, OverlappingBuffers) {
  std::vector<float> both(2'500, 0.5f);
  for (const std::ptrdiff_t shift : {1, 7, 500, 999}) {
    expect_rejected([&] { tensor()(both.data(), both.data() + shift); }, {"disjoint"});
    expect_rejected([&] { tensor()(both.data() + shift, both.data()); }, {"disjoint"});
  }
  const auto* byte_later = reinterpret_cast<const std::byte*>(both.data()) + 1;
  expect_rejected([&] { tensor()(byte_later, both.data()); }, {"disjoint"});
  tensor()(both.data(), both.data() + 1'000);  // side by side: allowed
  tensor()(both.data(), both.data());          // the same: allowed
}

TEST_F(BadCall, OverlappingSparseBuffers) {
  std::vector<std::uint64_t> positions(1'000);
  std::vector<float> values(1'000);
  auto* const as_values = reinterpret_cast<float*>(positions.data());
  auto* const as_positions = reinterpret_cast<std::uint64_t*>(gradient_.data());
  expect_rejected(
      [&] { static_cast<void>(tensor().sparse(gradient_.data(), as_positions, values.data())); },
      {"gradient"});
  expect_rejected(
      [&] {
        static_cast<void>(tensor().sparse(gradient_.data(), positions.data(), gradient_.data()));
      },
      {"gradient"});
  expect_rejected(
      [&] { static_cast<void>(tensor().sparse(gradient_.data(), positions.data(), as_values)); },
      {});
  expect_rejected(
      [&] {
        static_cast<void>(tensor().sparse(gradient_.data(), positions.data(), as_values + 3));
      },
      {});
}

TEST_F(BadCall, LossScale) {
  for (const double scale : {0.0, -0.0, -1.0, std::nan(""), std::numeric_limits<double>::infinity(),
                             -std::numeric_limits<double>::infinity(), 1e-300, 1e300}) {
    SCOPED_TRACE(scale);
    expect_rejected([&] { tensor()(gradient_.data(), result_.data(), scale); }, {"loss scale"});
  }
}

TEST_F(BadCall, Alignment) {
  const auto* odd = reinterpret_cast<const std::byte*>(gradient_.data()) + 1;
  expect_rejected([&] { tensor()(odd, result_.data()); }, {"send buffer", "multiple of 4"});
}

TEST_F(BadCall, Stream) {
  int dummy = 0;
  expect_rejected([&] { tensor()(gradient_.data(), result_.data(), 1.0, &dummy); }, {"stream"});
}

TEST_F(BadCall, Spans) {
  std::vector<float> less(999), more(1'001);
  std::vector<double> wide(1'000);
  using In = std::span<const float>;
  using Out = std::span<float>;
  expect_rejected([&] { tensor()(In(less), Out(result_)); }, {"1000", "999"});
  expect_rejected([&] { tensor()(In(gradient_), Out(more)); }, {"1000", "1001"});
  expect_rejected([&] { tensor()(std::span<const double>(wide), std::span<double>(wide)); },
                  {"float32", "float64"});
  tensor()(In(gradient_), Out(result_));
}

TEST_F(BadCall, Density) {
  for (const double density : {0.0, -1.0, 1.5, std::nan("")}) {
    expect_rejected([&] { tensor().set_density(density); }, {"density"});
    EXPECT_EQ(tensor().k(), 10u);
  }
  expect_rejected([&] { tensor().set_k(0); }, {"k"});
  expect_rejected([&] { tensor().set_k(1'001); }, {"k", "1000", "1001"});
  EXPECT_EQ(tensor().k(), 10u);
  EXPECT_EQ(tensor().sparse_capacity(), 10u);
}

TEST(BadInput, DenseAllreduce) {
  std::vector<Communicator> one = Communicator::local(1);
  std::vector<float> x(10), y(10);
  const auto call = [&](const void* send, void* recv, DataType type, Reduction reduction) {
    return [&, send, recv, type, reduction] { one[0].all_reduce(send, recv, 10, type, reduction); };
  };
  const DataType f32 = DataType::float32;
  const Result code = Result::invalid_argument;
  expect_error(call(nullptr, y.data(), f32, Reduction::sum), code, with({"null"}));
  expect_error(call(x.data(), nullptr, f32, Reduction::sum), code, with({"null"}));
  expect_error(call(x.data(), x.data() + 1, f32, Reduction::sum), code, with({"disjoint"}));
  expect_error(call(x.data(), y.data(), static_cast<DataType>(10), Reduction::sum), code, with({}));
  expect_error(call(x.data(), y.data(), f32, static_cast<Reduction>(5)), code, with({}));
  one[0].all_reduce(nullptr, nullptr, 0, f32, Reduction::sum);  // nothing to do
}

TEST(BadInput, AfterAbort) {
  const Shape shape{.ranks = 2, .count = 100, .k = 5};
  World world(shape);
  static_cast<void>(world.step({Vector(100, 1.0), Vector(100, 2.0)}));
  const auto states = world.states();
  world.communicators()[0].abort();
  world.each([&](SparseAllreduce& tensor, int) {
    std::vector<float> g(100, 1.0f), result(100);
    for (int attempt = 0; attempt < 2; ++attempt) {
      expect_error([&] { tensor(g.data(), result.data()); }, Result::aborted, {"abort"});
    }
  });
  EXPECT_EQ(world.states(), states);
  EXPECT_EQ(world.communicators()[0].async_error(), Result::aborted);
}

}  // namespace
}  // namespace sparccl::test
