// Abort, timeout, destruction: who is released, and what handles answer afterwards.
#include <atomic>
#include <chrono>

#include "ranks_of_c.hpp"

namespace sparccl::test {
namespace {

sparcclResult_t reduce(sparcclComm_t comm) {
  float x = 1;
  return sparcclAllReduce(&x, &x, 1, sparcclFloat32, sparcclMax, comm, nullptr);
}

sparcclResult_t async_error(sparcclComm_t comm) {
  sparcclResult_t state = sparcclInternalError;
  EXPECT_EQ(sparcclCommGetAsyncError(comm, &state), sparcclSuccess);
  return state;
}

void soon(const std::function<void()>& f) {
  std::this_thread::sleep_for(std::chrono::milliseconds(50));
  f();
}

TEST(Abort, ReleasesWhoWaits) {
  const Ranks ranks(3);
  std::thread waiting([&] {
    expect_failure(reduce(ranks.comms[0]), sparcclAborted, "aborted");
    EXPECT_EQ(async_error(ranks.comms[0]), sparcclAborted);
  });
  soon([&] { EXPECT_EQ(sparcclCommAbort(ranks.comms[2]), sparcclSuccess); });
  waiting.join();
  for (const sparcclComm_t comm : ranks.comms) EXPECT_EQ(reduce(comm), sparcclAborted);
}

TEST(Abort, EndsAllButDestruction) {
  const Ranks one(1);
  const sparcclComm_t comm = one.comms[0];
  sparcclTensor_t tensor = nullptr;
  float x = 1;
  ASSERT_EQ(sparcclTensorCreate(comm, "t", 1, sparcclFloat32, nullptr, &tensor), sparcclSuccess);
  ASSERT_EQ(sparcclCommAbort(comm), sparcclSuccess);
  ASSERT_EQ(sparcclCommAbort(comm), sparcclSuccess);
  EXPECT_EQ(async_error(comm), sparcclAborted);
  EXPECT_EQ(sparcclAllReduce(&x, &x, 1, sparcclFloat32, sparcclSum, comm, nullptr), sparcclAborted);
  EXPECT_EQ(sparcclAllReduce(&x, &x, 0, sparcclFloat32, sparcclSum, comm, nullptr), sparcclAborted);
  EXPECT_EQ(sparcclTensorAllReduce(tensor, &x, &x, sparcclSum, 1.0, nullptr), sparcclAborted);
  EXPECT_EQ(sparcclTensorAllReduce(tensor, &x, &x, sparcclMax, 1.0, nullptr), sparcclAborted);
  sparcclTensor_t other = nullptr;
  EXPECT_EQ(sparcclTensorCreate(comm, "u", 1, sparcclFloat32, nullptr, &other), sparcclAborted);
  int rank = -1;
  EXPECT_EQ(sparcclCommUserRank(comm, &rank), sparcclSuccess);
  EXPECT_EQ(sparcclTensorDestroy(tensor), sparcclSuccess);
}

TEST(Timeout, NamesTheRankAndTheTensor) {
  sparcclConfig_t config = SPARCCL_CONFIG_INITIALIZER;
  config.timeoutMs = 100;
  const Ranks ranks(2, config);
  sparcclTensor_t tensor = nullptr;
  float x = 1;
  ASSERT_EQ(sparcclTensorCreate(ranks.comms[0], "fc2.bias", 1, sparcclFloat32, nullptr, &tensor),
            sparcclSuccess);
  expect_failure(sparcclTensorAllReduce(tensor, &x, &x, sparcclSum, 1.0, nullptr), sparcclTimeout,
                 "rank 1 did not arrive within 100 ms");
  EXPECT_NE(last_error().find("fc2.bias"), std::string::npos) << last_error();
  EXPECT_EQ(async_error(ranks.comms[0]), sparcclTimeout);
  EXPECT_EQ(reduce(ranks.comms[1]), sparcclRemoteError);
  EXPECT_EQ(sparcclTensorDestroy(tensor), sparcclSuccess);
}

TEST(Destroy, ReleasesWhoWaitsEvenIfTensorsAreLeft) {
  Ranks ranks(2);
  sparcclTensor_t tensor = nullptr;
  ASSERT_EQ(sparcclTensorCreate(ranks.comms[1], "t", 1, sparcclFloat32, nullptr, &tensor),
            sparcclSuccess);
  std::thread waiting(
      [&] { expect_failure(reduce(ranks.comms[0]), sparcclRemoteError, "rank 1 left"); });
  soon([&] { EXPECT_EQ(sparcclCommDestroy(ranks.comms[1]), sparcclSuccess); });
  waiting.join();
  ranks.comms[1] = nullptr;
  EXPECT_EQ(sparcclTensorDestroy(tensor), sparcclSuccess);
}

TEST(Destroy, HandlesAreNeverUsedAgain) {
  sparcclComm_t first = nullptr;
  ASSERT_EQ(sparcclCommInitAll(&first, 1, nullptr), sparcclSuccess);
  ASSERT_EQ(sparcclCommDestroy(first), sparcclSuccess);
  for (int i = 0; i < 100; ++i) {
    sparcclComm_t comm = nullptr;
    ASSERT_EQ(sparcclCommInitAll(&comm, 1, nullptr), sparcclSuccess);
    ASSERT_NE(comm, first);
    ASSERT_EQ(sparcclCommDestroy(comm), sparcclSuccess);
  }
}

/// While one group waits in a collective, others come, work and go.
TEST(Threads, GroupsDoNotHoldEachOtherUp) {
  const Ranks waiting(2);
  std::thread held([&] { EXPECT_EQ(reduce(waiting.comms[0]), sparcclSuccess) << last_error(); });
  std::vector<std::thread> threads;
  for (int i = 0; i < 4; ++i) {
    threads.emplace_back([] {
      for (int round = 0; round < 20; ++round) {
        const Ranks ranks(2);
        ranks.on_each([](sparcclComm_t comm, int) {
          sparcclTensor_t tensor = nullptr;
          std::vector<float> x(300, 1.0f);
          ASSERT_EQ(sparcclTensorCreate(comm, "t", 300, sparcclFloat32, nullptr, &tensor),
                    sparcclSuccess);
          ASSERT_EQ(sparcclTensorAllReduce(tensor, x.data(), x.data(), sparcclSum, 1.0, nullptr),
                    sparcclSuccess)
              << last_error();
          ASSERT_EQ(sparcclTensorDestroy(tensor), sparcclSuccess);
        });
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(reduce(waiting.comms[1]), sparcclSuccess) << last_error();
  held.join();
}

}  // namespace
}  // namespace sparccl::test
