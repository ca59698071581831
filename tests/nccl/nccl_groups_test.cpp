// Groups of an NCCL transport, which end with it and it with them; and the nodes that ranks are on.
#include <gtest/gtest.h>

#include <chrono>
#include <cstdlib>
#include <thread>

#include "nccl_exchanges.hpp"
#include "transport/host_key.hpp"

namespace sparccl::test {
namespace {

using NcclGroups = NcclCalls;

TEST_F(NcclGroups, ExchangeAmongThemselvesInTurnWithTheWhole) {
  for (const auto& [ranks, size] :
       {std::pair(1, 1), std::pair(2, 1), std::pair(4, 2), std::pair(4, 4), std::pair(8, 2)}) {
    const UserComms comms(ranks);
    on_ranks(ranks, [&, all = ranks, each = size](int rank) {
      Rank self(comms, rank, 5000);
      const auto inside = self.transport.group(rank / each);
      const auto across = self.transport.group(rank % each);
      ASSERT_EQ(each, inside->size());
      ASSERT_EQ(rank % each, inside->rank());
      std::vector<int> near, far;
      for (int r = 0; r < all; ++r) {
        if (r / each == rank / each) near.push_back(r);
        if (r % each == rank % each) far.push_back(r);
      }
      for (int call = 1; call < 4; ++call) {
        Exchanges(*inside, near, 7).expect_exchanged(call, self.stream.get());
        Exchanges(*across, far, 9).expect_exchanged(call, self.stream.get());
        Exchanges(self.transport, up_to(all), 11).expect_exchanged(call, self.stream.get());
      }
    });
  }
}

/// As a grouped call does that is hierarchical: only the transports of all ranks have begun.
TEST_F(NcclGroups, JoinAGroupOfCallsThatTheThreadHasOpen) {
  const UserComms comms(4);
  const auto ranks = make_ranks(comms, 5000);
  std::vector<std::unique_ptr<Transport>> pairs(4);
  std::vector<std::unique_ptr<Exchanges>> exchanges(4);
  on_ranks(4, [&](int rank) {
    const auto place = static_cast<std::size_t>(rank);
    pairs[place] = ranks[place]->transport.group(rank / 2);
    exchanges[place] = std::make_unique<Exchanges>(
        *pairs[place], std::vector<int>{rank / 2 * 2, rank / 2 * 2 + 1}, 5);
    exchanges[place]->set(1);
  });
  for (int call = 1; call < 4; ++call) {
    for (const auto& self : ranks) self->transport.begin_group();
    for (std::size_t r = 0; r < 4; ++r) exchanges[r]->enqueue(ranks[r]->stream.get());
    for (const auto& self : ranks) self->transport.end_group();
    for (std::size_t r = 0; r < 4; ++r) {
      cuda::check(cudaStreamSynchronize(ranks[r]->stream.get()));
      exchanges[r]->expect_done();
      exchanges[r]->set(call + 1);
    }
  }
  pairs[1]->abort();  // the last call of a transport that joined has long been settled
  EXPECT_TRUE(eventually([] { return fakeNcclAborted() == 2; }));
}

/// Four ranks in two groups that have exchanged something once.
struct Groups {
  explicit Groups(std::uint64_t timeout_ms) : comms(4), ranks(make_ranks(comms, timeout_ms)) {
    groups.resize(4);
    slots.resize(4);
    on_ranks(4, [&](int rank) {
      const auto place = static_cast<std::size_t>(rank);
      groups[place] = whole(rank).group(rank / 2);
      slots[place] = std::make_unique<DeviceBytes>(64);
      meet(rank, *groups[place]);
      meet(rank, whole(rank));
      finish(rank);
    });
  }
  Transport& whole(int rank) { return ranks[static_cast<std::size_t>(rank)]->transport; }
  Transport& group(int rank) { return *groups[static_cast<std::size_t>(rank)]; }
  void meet(int rank, Transport& transport) {
    const auto place = static_cast<std::size_t>(rank);
    transport.meet(slots[place]->get(), 16, ranks[place]->stream.get());
  }
  void finish(int rank) {
    cuda::check(cudaStreamSynchronize(ranks[static_cast<std::size_t>(rank)]->stream.get()));
  }

  UserComms comms;
  std::vector<std::unique_ptr<Rank>> ranks;
  std::vector<std::unique_ptr<Transport>> groups;
  std::vector<std::unique_ptr<DeviceBytes>> slots;
};

TEST_F(NcclGroups, EndWithTheWholeAndTheWholeWithThem) {
  for (const bool end_the_group : {false, true}) {
    for (const bool waits_in_the_group : {false, true}) {
      Groups all(0);
      Transport& ends = end_the_group ? all.group(0) : all.whole(0);
      Transport& waits = waits_in_the_group ? all.group(0) : all.whole(0);
      all.meet(0, waits);
      std::thread aborter([&] {
        std::this_thread::sleep_for(std::chrono::milliseconds(30));
        ends.abort();
      });
      all.finish(0);  // goes on once the communicator is aborted
      aborter.join();
      for (Transport* each : {&all.whole(0), &all.group(0)}) {
        std::string text;
        EXPECT_EQ(Result::aborted, each->async_error());
        EXPECT_EQ(Result::aborted, code_thrown([&] { all.meet(0, *each); }, &text));
        EXPECT_EQ("the communicator was aborted by rank 0", text);
        EXPECT_EQ(Result::aborted, code_thrown([&] { static_cast<void>(each->group(0)); }));
        EXPECT_EQ(Result::aborted, code_thrown([&] { static_cast<void>(each->nodes()); }));
      }
      EXPECT_TRUE(eventually([] { return fakeNcclAborted() == 2; }));  // both of this rank
      fakeNcclReset();
    }
  }
}

TEST_F(NcclGroups, ATimeoutOfEitherEndsBothAndNamesTheRankOfTheWhole) {
  for (const bool waits_in_the_group : {false, true}) {
    Groups all(150);
    Transport& waits = waits_in_the_group ? all.group(3) : all.whole(3);
    all.meet(3, waits);
    all.finish(3);
    for (Transport* each : {&all.whole(3), &all.group(3)}) {
      EXPECT_TRUE(eventually([&] { return each->async_error() == Result::timeout; }));
      EXPECT_EQ("rank 3 waited 150 ms for ncclAllGather of 16 bytes; a rank did not arrive",
                each->async_error_text());
    }
    EXPECT_TRUE(eventually([] { return fakeNcclAborted() == 2; }));
    fakeNcclReset();
  }
}

TEST_F(NcclGroups, GivingUpEitherAndTheCallersReasonEndBoth) {
  for (const int which : {0, 1, 2}) {
    Groups all(0);
    std::atomic<bool> failed = false;
    all.whole(0).abort_when([&] { return failed.load(); });
    all.meet(0, all.group(0));
    if (which == 0) all.group(0).give_up(Result::bad_packet);
    if (which == 1) all.whole(0).give_up(Result::bad_packet);
    if (which == 2) failed = true;
    all.finish(0);
    for (Transport* each : {&all.whole(0), &all.group(0)}) {
      EXPECT_EQ(Result::invalid_usage, code_thrown([&] { all.meet(0, *each); }));
      EXPECT_EQ(Result::success, each->async_error());  // who gave up knows why
    }
    EXPECT_TRUE(eventually([] { return fakeNcclAborted() == 2; }));
    fakeNcclReset();
  }
}

TEST_F(NcclGroups, AnErrorThatNcclReportsOfAGroupIsTheWholes) {
  Groups all(0);
  all.meet(2, all.group(2));
  fakeNcclSetAsyncError(0, ncclRemoteError);  // of rank 0 everywhere: so is rank 2 in its group
  all.finish(2);
  EXPECT_TRUE(eventually([&] { return all.whole(2).async_error() == Result::remote_error; }));
  EXPECT_EQ("rank 2: NCCL reports: remote process exited or there was a network error",
            all.whole(2).async_error_text());
}

TEST_F(NcclGroups, ARankThatMakesNoGroupIsATimeoutOfTheOthers) {
  const UserComms comms(2);
  const auto ranks = make_ranks(comms, 100);
  std::string text;
  EXPECT_EQ(Result::timeout,
            code_thrown([&] { static_cast<void>(ranks[0]->transport.group(0)); }, &text));
  EXPECT_EQ("rank 0: group: waited 100 ms for all ranks to make their groups", text);
  EXPECT_EQ(Result::timeout, ranks[0]->transport.async_error());
}

TEST_F(NcclGroups, AnAbortEndsTheMakingOfAGroup) {
  const UserComms comms(2);
  const auto ranks = make_ranks(comms);
  std::thread aborter([&] {
    std::this_thread::sleep_for(std::chrono::milliseconds(30));
    ranks[0]->transport.abort();
  });
  EXPECT_EQ(Result::aborted, code_thrown([&] { static_cast<void>(ranks[0]->transport.group(0)); }));
  aborter.join();
}

TEST_F(NcclGroups, ASplitThatFailsAndANegativeColor) {
  const UserComms comms(1);
  const auto ranks = make_ranks(comms);
  std::string text;
  EXPECT_EQ(Result::invalid_argument,
            code_thrown([&] { static_cast<void>(ranks[0]->transport.group(-1)); }, &text));
  EXPECT_EQ("group: rank 0 passed color -1: expected 0 or more", text);
  EXPECT_EQ(Result::success, ranks[0]->transport.async_error());
  fakeNcclFailNext("ncclCommSplit", ncclSystemError);
  EXPECT_EQ(Result::system_error,
            code_thrown([&] { static_cast<void>(ranks[0]->transport.group(0)); }, &text));
  EXPECT_EQ(
      "rank 0: group: ncclCommSplit failed: unhandled system error: ncclCommSplit was made to "
      "fail",
      text);
}

TEST_F(NcclGroups, NodesAreHostsOrAsTheOptionsSay) {
  const UserComms comms(4);
  on_ranks(4, [&](int rank) {
    Rank self(comms, rank, 5000);
    EXPECT_EQ((std::vector<int>{0, 0, 0, 0}), self.transport.nodes());
    NcclTransport pairs(comms[rank], {.timeout_ms = 5000, .ranks_per_node = 2});
    EXPECT_EQ((std::vector<int>{0, 0, 1, 1}), pairs.nodes());
    EXPECT_EQ((std::vector<int>{0, 1}), pairs.group(rank % 2)->nodes());
    EXPECT_EQ((std::vector<int>{0, 0}), pairs.group(rank / 2)->nodes());
  });
  std::string text;
  EXPECT_EQ(
      Result::invalid_argument,
      code_thrown([&] { const NcclTransport none(comms[0], {.ranks_per_node = -1}); }, &text));
  EXPECT_NE(std::string::npos, text.find("ranks_per_node: expected 0 or more, found -1")) << text;
}

TEST(HostKey, IsThatOfTheHostOrWhatNcclIsTold) {
  const std::uint64_t here = host_key();
  EXPECT_EQ(here, host_key());
  setenv("NCCL_HOSTID", "one", 1);
  const std::uint64_t one = host_key();
  setenv("NCCL_HOSTID", "two", 1);
  EXPECT_NE(one, host_key());
  setenv("NCCL_HOSTID", "", 1);
  EXPECT_EQ(here, host_key());
  unsetenv("NCCL_HOSTID");
  EXPECT_NE(here, one);
}

}  // namespace
}  // namespace sparccl::test
