// What the NCCL transport does when NCCL, a rank or the caller fails.
#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <thread>

#include "ranks.hpp"
#include "simt.hpp"

namespace sparccl::test {
namespace {

using std::chrono::milliseconds;

class NcclFailures : public testing::Test {
 protected:
  void SetUp() override {
    fakeNcclReset();
    before_ = simt::live();
  }
  void TearDown() override {
    EXPECT_STREQ("", fakeNcclMisuse());
    EXPECT_EQ(0u, fakeNcclLive());
    if (check_live_) {
      EXPECT_EQ(before_, simt::live());
    }
  }

  bool check_live_ = true;

 private:
  simt::Live before_;
};

/// Two ranks that have exchanged something once.
struct Pair {
  explicit Pair(std::uint64_t timeout_ms) : comms(2), ranks(make_ranks(comms, timeout_ms)) {
    for (int rank = 0; rank < 2; ++rank) {
      const cuda::DeviceGuard present(device_of(rank));
      slots.push_back(std::make_unique<DeviceBytes>(64));
    }
    on_ranks(2, [&](int rank) {
      gather(rank);
      finish(rank);
    });
  }
  NcclTransport& transport(int rank) { return ranks[static_cast<std::size_t>(rank)]->transport; }
  void gather(int rank) {
    const auto place = static_cast<std::size_t>(rank);
    transport(rank).all_gather(slots[place]->get(), 32, ranks[place]->stream.get());
  }
  void finish(int rank) {
    cuda::check(cudaStreamSynchronize(ranks[static_cast<std::size_t>(rank)]->stream.get()));
  }
  /// Whether the rank has heard of a failure: then its stream goes on.
  bool fails(int rank) {
    return eventually([&] { return transport(rank).async_error() != Result::success; });
  }

  UserComms comms;
  std::vector<std::unique_ptr<Rank>> ranks;
  std::vector<std::unique_ptr<DeviceBytes>> slots;
};

TEST_F(NcclFailures, ARankThatNeverArrivesIsATimeout) {
  Pair pair(100);
  pair.gather(0);
  const auto start = std::chrono::steady_clock::now();
  pair.finish(0);  // goes on once the communicator is aborted
  EXPECT_GE(std::chrono::steady_clock::now() - start, milliseconds(90));
  ASSERT_TRUE(pair.fails(0));
  EXPECT_EQ(Result::timeout, pair.transport(0).async_error());
  EXPECT_EQ("rank 0 waited 100 ms for ncclAllGather of 32 bytes; a rank did not arrive",
            pair.transport(0).async_error_text());
  std::string text;
  EXPECT_EQ(Result::timeout, code_thrown([&] { pair.gather(0); }, &text));
  EXPECT_EQ(pair.transport(0).async_error_text(), text);
  EXPECT_EQ(Result::success, pair.transport(1).async_error());
  EXPECT_TRUE(eventually([] { return fakeNcclAborted() == 1; }));
}

TEST_F(NcclFailures, WorkAheadOfAnExchangeIsNoTimeout) {
  Pair pair(150);
  on_ranks(2, [&](int rank) {
    const cudaHostFn_t backward_pass = [](void*) {
      std::this_thread::sleep_for(milliseconds(600));
    };
    const cudaStream_t stream = pair.ranks[static_cast<std::size_t>(rank)]->stream.get();
    cuda::check(cudaLaunchHostFunc(stream, backward_pass, nullptr));
    pair.gather(rank);
    pair.finish(rank);
    EXPECT_EQ(Result::success, pair.transport(rank).async_error());
  });
  EXPECT_EQ(0u, fakeNcclAborted());
}

TEST_F(NcclFailures, ATimeoutOfZeroWaitsForEver) {
  Pair pair(0);
  pair.gather(0);
  std::thread late([&] {
    std::this_thread::sleep_for(milliseconds(400));
    pair.gather(1);
    pair.finish(1);
  });
  pair.finish(0);
  late.join();
  EXPECT_EQ(Result::success, pair.transport(0).async_error());
}

TEST_F(NcclFailures, AbortFromAnotherThreadEndsWhatIsOnTheDevice) {
  Pair pair(0);
  pair.gather(0);
  std::thread aborter([&] {
    std::this_thread::sleep_for(milliseconds(50));
    pair.transport(0).abort();
  });
  pair.finish(0);
  aborter.join();
  EXPECT_EQ(Result::aborted, pair.transport(0).async_error());
  std::string text;
  EXPECT_EQ(Result::aborted, code_thrown([&] { pair.gather(0); }, &text));
  EXPECT_EQ("the communicator was aborted by rank 0", text);
}

TEST_F(NcclFailures, AbortFromAnotherThreadEndsAStuckCall) {
  const UserComms comms(2);
  const auto ranks = make_ranks(comms);
  DeviceBytes slots(64);
  std::thread aborter([&] {
    std::this_thread::sleep_for(milliseconds(50));
    ranks[0]->transport.abort();
  });
  EXPECT_EQ(Result::aborted, code_thrown([&] {  // the first call waits for the other rank
              ranks[0]->transport.all_gather(slots.get(), 32, ranks[0]->stream.get());
            }));
  aborter.join();
}

TEST_F(NcclFailures, AbortEndsALaunchThatIsStuckInNccl) {
  Pair pair(0);
  fakeNcclStickNext(0);
  std::thread aborter([&] {
    std::this_thread::sleep_for(milliseconds(50));
    pair.transport(0).abort();
  });
  EXPECT_EQ(Result::aborted, code_thrown([&] { pair.gather(0); }));
  aborter.join();
}

TEST_F(NcclFailures, CallsThatNcclRefusesThrowItsWords) {
  for (const char* function : {"ncclAllGather", "ncclGroupEnd"}) {
    Pair pair(0);
    fakeNcclFailNext(function, ncclSystemError);
    std::string text;
    const auto call = [&] {
      pair.transport(0).begin_group();
      pair.gather(0);
      pair.transport(0).end_group();
    };
    const Result code = std::string(function) == "ncclAllGather"
                            ? code_thrown([&] { pair.gather(0); }, &text)
                            : code_thrown(call, &text);
    EXPECT_EQ(Result::system_error, code);
    EXPECT_EQ("rank 0: " + std::string(function) + " failed: unhandled system error: " + function +
                  " was made to fail",
              text);
    EXPECT_EQ(Result::system_error, pair.transport(0).async_error());
    EXPECT_EQ(text, pair.transport(0).async_error_text());
  }
}

TEST_F(NcclFailures, AFailureInAGroupLeavesNoGroupOpen) {
  Pair pair(1000);
  for (int rank = 0; rank < 2; ++rank) pair.transport(rank).begin_group();
  pair.gather(0);
  fakeNcclFailNext("ncclAllGather", ncclInternalError);
  EXPECT_EQ(Result::internal_error, code_thrown([&] { pair.gather(1); }));
  EXPECT_EQ(Result::success, code_thrown([&] { pair.transport(0).end_group(); }));
  EXPECT_EQ(Result::internal_error, code_thrown([&] { pair.transport(1).end_group(); }));
  EXPECT_EQ(Result::internal_error, pair.transport(0).async_error());  // nothing was enqueued
  Pair other(1000);                                                    // of the same thread
  for (int rank = 0; rank < 2; ++rank) other.transport(rank).begin_group();
  for (int rank = 0; rank < 2; ++rank) other.gather(rank);
  for (int rank = 0; rank < 2; ++rank) other.transport(rank).end_group();
  for (int rank = 0; rank < 2; ++rank) other.finish(rank);
}

TEST_F(NcclFailures, AbortDuringAGroupWaitsForItsEnd) {
  Pair pair(0);
  for (int rank = 0; rank < 2; ++rank) pair.transport(rank).begin_group();
  pair.gather(0);
  pair.transport(0).abort();
  std::this_thread::sleep_for(milliseconds(100));
  EXPECT_EQ(0u, fakeNcclAborted());
  EXPECT_EQ(Result::success, code_thrown([&] { pair.gather(1); }));
  EXPECT_EQ(Result::success, code_thrown([&] { pair.transport(1).end_group(); }));
  EXPECT_EQ(Result::aborted, code_thrown([&] { pair.transport(0).end_group(); }));
  EXPECT_TRUE(eventually([] { return fakeNcclAborted() >= 1; }));
  pair.transport(1).abort();
  pair.finish(1);
}

TEST_F(NcclFailures, AnErrorThatNcclReportsLaterEndsTheCommunicator) {
  Pair pair(0);
  pair.gather(0);
  fakeNcclSetAsyncError(0, ncclRemoteError);
  pair.finish(0);
  ASSERT_TRUE(pair.fails(0));
  EXPECT_EQ(Result::remote_error, pair.transport(0).async_error());
  EXPECT_EQ("rank 0: NCCL reports: remote process exited or there was a network error",
            pair.transport(0).async_error_text());
  EXPECT_EQ(Result::success, pair.transport(1).async_error());
}

TEST_F(NcclFailures, AnErrorSeenByACallIsThrownByIt) {
  const UserComms comms(2);
  const auto ranks = make_ranks(comms);
  DeviceBytes slots(64);
  std::thread reporter([&] {
    std::this_thread::sleep_for(milliseconds(50));
    fakeNcclSetAsyncError(1, ncclSystemError);  // no more than a peer that is lost
    ranks[0]->transport.abort();
  });
  EXPECT_NE(Result::success, code_thrown([&] {
              ranks[0]->transport.all_gather(slots.get(), 32, ranks[0]->stream.get());
            }));
  reporter.join();
  EXPECT_TRUE(
      eventually([&] { return ranks[1]->transport.async_error() == Result::system_error; }));
}

TEST_F(NcclFailures, ARankThatGivesUpIsHeardOfOverANetwork) {
  fakeNcclSetAbortsAreHeard(true);
  Pair pair(0);
  pair.gather(1);
  pair.transport(0).give_up(Result::bad_packet);
  pair.finish(1);
  ASSERT_TRUE(pair.fails(1));
  EXPECT_EQ(Result::remote_error, pair.transport(1).async_error());
  EXPECT_EQ(Result::success, pair.transport(0).async_error());  // who gave up knows why
  std::string text;
  EXPECT_EQ(Result::invalid_usage, code_thrown([&] { pair.gather(0); }, &text));
  EXPECT_EQ("rank 0 has given up its NCCL communicator", text);
}

TEST_F(NcclFailures, TheCallersReasonEndsTheCommunicatorToo) {
  Pair pair(0);
  std::atomic<bool> failed = false;
  std::atomic<int> asked = 0;
  pair.transport(0).abort_when([&] {
    ++asked;
    return failed.load();
  });
  pair.gather(0);
  ASSERT_TRUE(eventually([&] { return asked > 2; }));
  EXPECT_EQ(0u, fakeNcclAborted());
  failed = true;
  pair.finish(0);
  EXPECT_TRUE(eventually([] { return fakeNcclAborted() == 1; }));
  EXPECT_EQ(Result::success, pair.transport(0).async_error());
  EXPECT_EQ(Result::invalid_usage, code_thrown([&] { pair.gather(0); }));
}

TEST_F(NcclFailures, RanksWithOtherSizesAreATimeoutAndNoMore) {
  Pair pair(100);
  on_ranks(2, [&](int rank) {
    const auto place = static_cast<std::size_t>(rank);
    pair.transport(rank).all_gather(pair.slots[place]->get(), rank == 0 ? 32 : 16,
                                    pair.ranks[place]->stream.get());
    pair.finish(rank);
    EXPECT_TRUE(pair.fails(rank));
    EXPECT_EQ(Result::timeout, pair.transport(rank).async_error());
  });
}

TEST_F(NcclFailures, AFailureOfTheDeviceIsTold) {
  Pair pair(1000);
  check_live_ = false;  // what is freed meanwhile is not
  pair.gather(0);
  simt::fail_all_calls(cudaErrorLaunchFailure);
  const bool told = pair.fails(0);
  const std::string text = pair.transport(0).async_error_text();
  simt::fail_all_calls(cudaSuccess);
  ASSERT_TRUE(told);
  EXPECT_EQ(Result::unhandled_cuda_error, pair.transport(0).async_error());
  EXPECT_EQ(0u, text.find("rank 0: CUDA: ")) << text;
  pair.finish(0);
}

}  // namespace
}  // namespace sparccl::test
