// How NCCL transports begin and end.
#include <gtest/gtest.h>

#include <chrono>
#include <thread>

#include "ranks.hpp"
#include "simt.hpp"

namespace sparccl::test {
namespace {

using std::chrono::milliseconds;
using Clock = std::chrono::steady_clock;

class NcclLife : public testing::Test {
 protected:
  void SetUp() override {
    fakeNcclReset();
    cuda::check(cudaSetDevice(0));
    before_ = simt::live();
  }
  void TearDown() override {
    EXPECT_TRUE(eventually([] { return fakeNcclLive() == 0; }));
    EXPECT_STREQ("", fakeNcclMisuse());
    EXPECT_EQ(before_, simt::live());
  }

 private:
  simt::Live before_;
};

TEST_F(NcclLife, ManyCyclesLeaveNothing) {
  for (int cycle = 0; cycle < 100; ++cycle) {
    const int size = cycle % 4 + 1;
    const UserComms comms(size);
    on_ranks(size, [&](int rank) {
      Rank self(comms, rank, cycle % 2 == 0 ? 0 : 5000);
      DeviceBytes slots(static_cast<std::size_t>(size) * 16);
      if (cycle % 3 != 0) self.transport.all_gather(slots.get(), 16, self.stream.get());
      if (cycle % 3 == 1) cuda::check(cudaStreamSynchronize(self.stream.get()));
    });
  }
  EXPECT_EQ(0u, fakeNcclAborted());
}

TEST_F(NcclLife, WorkUnderWayIsFinishedBeforeTheEnd) {
  const UserComms comms(2);
  const std::size_t completed = fakeNcclCompleted();
  on_ranks(2, [&](int rank) {
    const cuda::OwnStream stream;
    DeviceBytes slots(32);
    {
      NcclTransport transport(comms[rank], {});
      transport.all_gather(slots.get(), 16, stream.get());
    }
    EXPECT_EQ(cudaSuccess, cudaStreamQuery(stream.get()));
  });
  EXPECT_EQ(completed + 1, fakeNcclCompleted());
  EXPECT_EQ(0u, fakeNcclAborted());
}

TEST_F(NcclLife, PeersThatAreGoneDoNotHoldTheDestructor) {
  const UserComms comms(2);
  auto ranks = make_ranks(comms, 1'000);
  on_ranks(2, [&](int rank) {
    Rank& self = *ranks[static_cast<std::size_t>(rank)];
    DeviceBytes slots(32);
    self.transport.all_gather(slots.get(), 16, self.stream.get());
    cuda::check(cudaStreamSynchronize(self.stream.get()));
  });
  ranks[1].reset();
  const cuda::DeviceGuard present(0);
  DeviceBytes slots(32);
  cuda::OwnStream stream;
  ranks[0]->transport.all_gather(slots.get(), 16, stream.get());
  const auto start = Clock::now();
  ranks[0].reset();
  EXPECT_LT(Clock::now() - start, milliseconds(5000));
  EXPECT_EQ(1u, fakeNcclAborted());
  cuda::check(cudaStreamSynchronize(stream.get()));
}

TEST_F(NcclLife, AFailedFinalizeIsAnAbort) {
  const UserComms comms(1);
  fakeNcclFailNext("ncclCommFinalize", ncclSystemError);
  { const NcclTransport transport(comms[0], {}); }
  EXPECT_EQ(1u, fakeNcclAborted());
}

TEST_F(NcclLife, ARankThatMakesNoneIsATimeout) {
  const UserComms comms(2);
  std::string text;
  const auto start = Clock::now();
  EXPECT_EQ(Result::timeout, code_thrown([&] { NcclTransport transport(comms[0], {100}); }, &text));
  EXPECT_LT(Clock::now() - start, milliseconds(5000));
  EXPECT_EQ("rank 0 waited 100 ms for all 2 ranks to make their communicators", text);
  // It comes after all: what the first rank no longer waits for is ended.
  on_ranks(2, [&](int rank) {
    if (rank == 1) NcclTransport transport(comms[1], {});
  });
  EXPECT_TRUE(
      eventually([] { return fakeNcclAborted() == 1 && fakeNcclLive() == 2; }));  // the user's
}

TEST_F(NcclLife, ASplitThatFailsThrowsItsWords) {
  const UserComms comms(1);
  fakeNcclFailNext("ncclCommSplit", ncclSystemError);
  std::string text;
  EXPECT_EQ(Result::system_error,
            code_thrown([&] { NcclTransport transport(comms[0], {}); }, &text));
  EXPECT_EQ("rank 0: ncclCommSplit failed: unhandled system error: ncclCommSplit was made to fail",
            text);
}

TEST_F(NcclLife, NonblockingCommunicatorsCanBeSplit) {
  ncclUniqueId id;
  ASSERT_EQ(ncclSuccess, ncclGetUniqueId(&id));
  on_ranks(3, [&](int rank) {
    ncclConfig_t config = NCCL_CONFIG_INITIALIZER;
    config.blocking = 0;
    ncclComm_t comm = nullptr;
    ASSERT_EQ(ncclSuccess, ncclCommInitRankConfig(&comm, 3, id, rank, &config));
    {
      const NcclTransport transport(comm, {});
      EXPECT_EQ(rank, transport.rank());
      EXPECT_EQ(3, transport.size());
    }
    EXPECT_EQ(ncclSuccess, ncclCommDestroy(comm));
  });
}

TEST_F(NcclLife, TheDeviceOfTheCommunicatorMustBePresent) {
  const UserComms comms(2);
  cuda::check(cudaSetDevice(0));
  std::string text;
  EXPECT_EQ(Result::invalid_usage,
            code_thrown([&] { NcclTransport transport(comms[1], {}); }, &text));
  EXPECT_EQ("rank 1: expected CUDA device 1, that of its NCCL communicator, to be present, found 0",
            text);
}

TEST_F(NcclLife, NoCommunicatorIsRefused) {
  std::string text;
  EXPECT_EQ(Result::invalid_argument,
            code_thrown([&] { NcclTransport transport(nullptr, {}); }, &text));
  EXPECT_EQ("communicator: expected one, found a null ncclComm_t", text);
}

}  // namespace
}  // namespace sparccl::test
