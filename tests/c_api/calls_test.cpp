// What the calls compute, and how implicit tensors are told apart.
#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>
#include <numeric>
#include <type_traits>

#include "ranks_of_c.hpp"

namespace sparccl::test {
namespace {

constexpr int world = 3;

template <class T>
T expected(sparcclRedOp_t op, const std::vector<T>& values) {
  switch (op) {
    case sparcclSum: return static_cast<T>(std::accumulate(values.begin(), values.end(), T{}));
    case sparcclProd:
      return static_cast<T>(
          std::accumulate(values.begin(), values.end(), T{1}, std::multiplies<>()));
    case sparcclMax: return *std::max_element(values.begin(), values.end());
    case sparcclMin: return *std::min_element(values.begin(), values.end());
    case sparcclAvg: break;
  }
  return static_cast<T>(static_cast<T>(std::accumulate(values.begin(), values.end(), T{})) /
                        static_cast<T>(values.size()));
}

template <class T>
void expect_dense(sparcclDataType_t type, const std::vector<sparcclRedOp_t>& ops) {
  const Ranks ranks(world);
  constexpr std::size_t count = 100;
  ranks.on_each([&](sparcclComm_t comm, int rank) {
    const auto value = [&](int r, std::size_t i) {
      return static_cast<T>((r + 1) * (static_cast<int>(i % 5) + 1));
    };
    for (const sparcclRedOp_t op : ops) {
      std::vector<T> send(count);
      std::vector<T> recv(count);
      for (std::size_t i = 0; i < count; ++i) send[i] = value(rank, i);
      ASSERT_EQ(sparcclAllReduce(send.data(), recv.data(), count, type, op, comm, nullptr),
                sparcclSuccess)
          << last_error();
      for (std::size_t i = 0; i < count; ++i) {
        std::vector<T> values;
        for (int r = 0; r < world; ++r) values.push_back(value(r, i));
        ASSERT_EQ(recv[i], expected(op, values)) << "type " << type << ", op " << op;
      }
    }
  });
}

TEST(DenseWay, IntegersOfEveryTypeAndOp) {
  const std::vector<sparcclRedOp_t> all{sparcclSum, sparcclProd, sparcclMax, sparcclMin,
                                        sparcclAvg};
  expect_dense<std::int8_t>(sparcclInt8, all);
  expect_dense<std::uint8_t>(sparcclUint8, all);
  expect_dense<std::int32_t>(sparcclInt32, all);
  expect_dense<std::uint32_t>(sparcclUint32, all);
  expect_dense<std::int64_t>(sparcclInt64, all);
  expect_dense<std::uint64_t>(sparcclUint64, all);
}

TEST(DenseWay, FloatsOfOtherOps) {
  const std::vector<sparcclRedOp_t> others{sparcclProd, sparcclMax, sparcclMin};
  expect_dense<float>(sparcclFloat32, others);
  expect_dense<double>(sparcclFloat64, others);
}

/// Entries that arrive, with a density of 1 in 100.
TEST(SparseWay, SendsOnlyTheLargest) {
  sparcclConfig_t config = Ranks::patient();
  config.density = 0.01;
  const Ranks ranks(world, config);
  ranks.on_each([&](sparcclComm_t comm, int rank) {
    std::vector<double> gradient(1000, 0.001);
    std::vector<double> result(1000, -1.0);
    for (std::size_t i = 0; i < 10; ++i) gradient[i * 100 + 7] = 8.0 * (rank + 1);
    ASSERT_EQ(sparcclAllReduce(gradient.data(), result.data(), 1000, sparcclFloat64, sparcclAvg,
                               comm, nullptr),
              sparcclSuccess)
        << last_error();
    for (std::size_t i = 0; i < 1000; ++i) ASSERT_EQ(result[i], i % 100 == 7 ? 16.0 : 0.0) << i;
  });
}

TEST(SparseWay, SixteenBitTypesInPlace) {
  sparcclConfig_t config = Ranks::patient();
  config.density = 1.0;
  const Ranks ranks(2, config);
  ranks.on_each([&](sparcclComm_t comm, int) {
    std::vector<std::uint16_t> half(64, 0x3c00);   // 1.0
    std::vector<std::uint16_t> brain(64, 0x3f80);  // 1.0
    ASSERT_EQ(
        sparcclAllReduce(half.data(), half.data(), 64, sparcclFloat16, sparcclSum, comm, nullptr),
        sparcclSuccess);
    ASSERT_EQ(sparcclAllReduce(brain.data(), brain.data(), 64, sparcclBfloat16, sparcclSum, comm,
                               nullptr),
              sparcclSuccess);
    EXPECT_EQ(half, std::vector<std::uint16_t>(64, 0x4000));
    EXPECT_EQ(brain, std::vector<std::uint16_t>(64, 0x4000));
  });
}

/// The residual of a buffer is its own: what one did not send comes from that one later.
TEST(ImplicitTensors, AreFoundByBufferCountAndType) {
  sparcclConfig_t config = Ranks::patient();
  config.k = 1;
  const Ranks ranks(2, config);
  ranks.on_each([&](sparcclComm_t comm, int) {
    std::vector<float> a{4, 3, 0, 0};
    std::vector<float> b{0, 0, 6, 5};
    std::vector<float> result(4);
    const auto reduce = [&](const std::vector<float>& gradient, std::size_t count) {
      ASSERT_EQ(sparcclAllReduce(gradient.data(), result.data(), count, sparcclFloat32, sparcclSum,
                                 comm, nullptr),
                sparcclSuccess)
          << last_error();
    };
    reduce(a, 4);
    EXPECT_EQ(result, (std::vector<float>{8, 0, 0, 0}));
    reduce(b, 4);
    EXPECT_EQ(result, (std::vector<float>{0, 0, 12, 0}));
    a = {0, 0, 1, 0};
    reduce(a, 4);  // what a held back, not what b did
    EXPECT_EQ(result, (std::vector<float>{0, 6, 0, 0}));
    a = {0, 1, 0, 0};
    reduce(a, 3);  // another tensor, with nothing held back
    EXPECT_EQ(std::vector<float>(result.begin(), result.begin() + 3),
              (std::vector<float>{0, 2, 0}));
  });
}

TEST(ImplicitTensors, AreNamedInTheOrderOfTheirFirstCalls) {
  const Ranks ranks(2);
  ranks.on_each([&](sparcclComm_t comm, int rank) {
    std::vector<float> a(10);
    std::vector<float> b(20);
    std::vector<float>& mine = rank == 0 ? a : b;  // the ranks disagree
    EXPECT_EQ(sparcclAllReduce(mine.data(), mine.data(), mine.size(), sparcclFloat32, sparcclSum,
                               comm, nullptr),
              sparcclMismatch);
    EXPECT_NE(last_error().find("allreduce #1"), std::string::npos) << last_error();
    EXPECT_NE(last_error().find("rank 1"), std::string::npos) << last_error();
    // and may go on, as that call left no trace
    for (std::vector<float>* tensor : {&a, &b, &a}) {
      EXPECT_EQ(sparcclAllReduce(tensor->data(), tensor->data(), tensor->size(), sparcclFloat32,
                                 sparcclSum, comm, nullptr),
                sparcclSuccess)
          << last_error();
    }
  });
}

TEST(ImplicitTensors, ZeroEntriesWaitForNobody) {
  const Ranks ranks(2);
  EXPECT_EQ(
      sparcclAllReduce(nullptr, nullptr, 0, sparcclFloat32, sparcclSum, ranks.comms[0], nullptr),
      sparcclSuccess);
  EXPECT_EQ(
      sparcclAllReduce(nullptr, nullptr, 0, sparcclInt32, sparcclMax, ranks.comms[0], nullptr),
      sparcclSuccess);
}

TEST(NonFinite, IsAnErrorOnEveryRankUnderThatPolicy) {
  sparcclConfig_t config = Ranks::patient();
  config.nonFinite = sparcclNonFiniteError;
  const Ranks ranks(2, config);
  ranks.on_each([&](sparcclComm_t comm, int rank) {
    sparcclTensor_t tensor = nullptr;
    ASSERT_EQ(sparcclTensorCreate(comm, "loss", 10, sparcclFloat32, nullptr, &tensor),
              sparcclSuccess);
    std::vector<float> x(10, rank == 1 ? std::numeric_limits<float>::infinity() : 1.0f);
    expect_failure(sparcclTensorAllReduce(tensor, x.data(), x.data(), sparcclSum, 1.0, nullptr),
                   sparcclNonFinite, "rank 1");
    for (const float value : x) EXPECT_TRUE(std::isnan(value));
    EXPECT_EQ(sparcclTensorDestroy(tensor), sparcclSuccess);
  });
}

TEST(Stats, OfAnotherSizeAreRefused) {
  const Ranks one(1);
  sparcclTensor_t tensor = nullptr;
  ASSERT_EQ(sparcclTensorCreate(one.comms[0], "t", 1, sparcclFloat32, nullptr, &tensor),
            sparcclSuccess);
  sparcclStats_t stats = SPARCCL_STATS_INITIALIZER;
  stats.size -= 8;
  expect_failure(
      sparcclTensorGetStats(tensor, &stats), sparcclInvalidArgument,
      "stats.size: expected 136 bytes (begin with SPARCCL_STATS_INITIALIZER), found 128");
  expect_failure(sparcclTensorGetStats(tensor, nullptr), sparcclInvalidArgument, "stats: ");
  EXPECT_EQ(sparcclTensorDestroy(tensor), sparcclSuccess);
}

}  // namespace
}  // namespace sparccl::test
