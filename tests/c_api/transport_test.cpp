// A transport of the caller's, as the C API sees it.
#include "../transport/callback_ranks.hpp"

#include <cmath>
#include <cstdio>
#include <deque>
#include <fstream>
#include <iterator>
#include <numeric>

#include "ranks_of_c.hpp"

namespace sparccl::test {
namespace {

using Rank = CallbackHub::Rank;

void expect_refused(const std::string& part, const std::function<void(sparcclTransport_t&)>& change,
                    std::uint64_t timeout_ms = 0) {
  const CallbackHub hub(2);
  Rank rank{nullptr, 1};
  sparcclTransport_t functions = hub.functions(rank);
  change(functions);
  sparcclConfig_t config = SPARCCL_CONFIG_INITIALIZER;
  config.timeoutMs = timeout_ms;
  sparcclComm_t comm = nullptr;
  expect_failure(sparcclCommInitTransport(&comm, &functions, &config), sparcclInvalidArgument,
                 part);
  EXPECT_EQ(comm, nullptr);
}

TEST(CallerTransport, IsRefusedWithReasons) {
  const std::string size = std::to_string(sizeof(sparcclTransport_t));
  expect_refused("transport.size: expected " + size +
                     " bytes (begin with SPARCCL_TRANSPORT_INITIALIZER), found 8",
                 [](auto& t) { t.size = 8; });
  expect_refused("transport.magic: expected 0x73706374, found 0x7", [](auto& t) { t.magic = 7; });
  expect_refused("transport.version: expected 0.1.x, found 0.9.0",
                 [](auto& t) { t.version = 900; });
  expect_refused("transport.rank: expected 0 to 1, found 2", [](auto& t) { t.rank = 2; });
  expect_refused("transport.nranks: ", [](auto& t) { t.nranks = -3; });
  expect_refused("transport.allGather: ", [](auto& t) { t.allGather = nullptr; });
  expect_refused(
      "config.timeoutMs: expected 0", [](auto&) {}, 100);
  sparcclComm_t comm = nullptr;
  expect_failure(sparcclCommInitTransport(&comm, nullptr, nullptr), sparcclInvalidArgument,
                 "transport: expected a pointer, found NULL");
  const sparcclTransport_t empty = SPARCCL_TRANSPORT_INITIALIZER;
  expect_failure(sparcclCommInitTransport(nullptr, &empty, nullptr), sparcclInvalidArgument,
                 "comm: ");
}

/// What sparcclAllReduce gives over `comm`, for gradients that depend on rank and step.
std::vector<float> some_steps(sparcclComm_t comm, int rank) {
  std::vector<float> gradient(3000);
  std::vector<float> results;
  for (int step = 0; step < 4; ++step) {
    for (std::size_t i = 0; i < gradient.size(); ++i) {
      gradient[i] = std::sin(static_cast<float>(i * static_cast<std::size_t>(rank + 3)) +
                             static_cast<float>(step));
    }
    std::vector<float> result(gradient.size());
    EXPECT_EQ(sparcclAllReduce(gradient.data(), result.data(), result.size(), sparcclFloat32,
                               sparcclAvg, comm, nullptr),
              sparcclSuccess)
        << last_error();
    results.insert(results.end(), result.begin(), result.end());
  }
  return results;
}

TEST(CallerTransport, GivesTheBitsOfLocalRanks) {
  constexpr int world = 3;
  sparcclConfig_t config = SPARCCL_CONFIG_INITIALIZER;
  config.density = 0.01;
  std::vector<std::vector<float>> expected(world);
  Ranks(world, config).on_each([&](sparcclComm_t comm, int rank) {
    expected[static_cast<std::size_t>(rank)] = some_steps(comm, rank);
  });

  CallbackHub hub(world);
  std::deque<Rank> ranks;
  std::vector<std::thread> threads;
  for (int r = 0; r < world; ++r) ranks.emplace_back(&hub, r);
  for (Rank& rank : ranks) {
    threads.emplace_back([&] {
      sparcclComm_t comm = nullptr;
      const sparcclTransport_t functions = hub.functions(rank);
      ASSERT_EQ(sparcclCommInitTransport(&comm, &functions, &config), sparcclSuccess);
      EXPECT_EQ(some_steps(comm, rank.rank), expected[static_cast<std::size_t>(rank.rank)]);
      EXPECT_EQ(rank.calls, 2 * 4);  // of each step: the agreement and the packets
      EXPECT_EQ(sparcclCommDestroy(comm), sparcclSuccess);
      EXPECT_EQ(rank.gave_up, 0);
    });
  }
  for (std::thread& thread : threads) thread.join();
}

/// The bytes of its state file.
std::string state_of(sparcclTensor_t tensor) {
  const std::string path = testing::TempDir() + "c_api_transport_test.state";
  EXPECT_EQ(sparcclTensorSave(tensor, path.c_str()), sparcclSuccess) << last_error();
  std::ifstream file(path, std::ios::binary);
  std::string bytes{std::istreambuf_iterator<char>(file), {}};
  EXPECT_EQ(std::remove(path.c_str()), 0);
  return bytes;
}

/// The packets of the second step do not come: the step is undone, and the state is as before it.
TEST(CallerTransport, AFailedFunctionLeavesTheResidualAndEndsTheCommunicator) {
  CallbackHub hub(1);
  Rank rank{&hub, 0};
  rank.fail_at = 3;
  const sparcclTransport_t functions = hub.functions(rank);
  sparcclComm_t comm = nullptr;
  ASSERT_EQ(sparcclCommInitTransport(&comm, &functions, nullptr), sparcclSuccess);
  sparcclTensor_t tensor = nullptr;
  ASSERT_EQ(sparcclTensorCreate(comm, "w", 1000, sparcclFloat32, nullptr, &tensor), sparcclSuccess);
  std::vector<float> gradient(1000);
  std::iota(gradient.begin(), gradient.end(), 1.0f);
  std::vector<float> result(1000);
  const auto step = [&] {
    return sparcclTensorAllReduce(tensor, gradient.data(), result.data(), sparcclSum, 1.0, nullptr);
  };
  ASSERT_EQ(step(), sparcclSuccess) << last_error();
  EXPECT_EQ(result[999], 1000.0f);
  const std::string before = state_of(tensor);
  expect_failure(step(), sparcclRemoteError,
                 "tensor \"w\": the transport's allGather on rank 0 of 1: expected 0, found 42");
  EXPECT_EQ(rank.gave_up, 1);
  EXPECT_EQ(rank.reason, sparcclRemoteError);
  expect_failure(step(), sparcclRemoteError, "cannot be used after an earlier failure");
  EXPECT_EQ(rank.calls, 4);
  EXPECT_EQ(state_of(tensor), before);
  sparcclStats_t stats = SPARCCL_STATS_INITIALIZER;
  EXPECT_EQ(sparcclTensorGetStats(tensor, &stats), sparcclSuccess);
  EXPECT_EQ(stats.steps, 1u);
  EXPECT_EQ(sparcclTensorDestroy(tensor), sparcclSuccess);
  EXPECT_EQ(sparcclCommDestroy(comm), sparcclSuccess);
}

TEST(CallerTransport, AbortReachesTheCaller) {
  CallbackHub hub(1);
  Rank rank{&hub, 0};
  const sparcclTransport_t functions = hub.functions(rank);
  sparcclComm_t comm = nullptr;
  ASSERT_EQ(sparcclCommInitTransport(&comm, &functions, nullptr), sparcclSuccess);
  EXPECT_EQ(sparcclCommAbort(comm), sparcclSuccess);
  EXPECT_EQ(rank.aborted, 1);
  float x = 1;
  expect_failure(sparcclAllReduce(&x, &x, 1, sparcclFloat32, sparcclSum, comm, nullptr),
                 sparcclAborted, "aborted");
  EXPECT_EQ(sparcclCommDestroy(comm), sparcclSuccess);
}

}  // namespace
}  // namespace sparccl::test
