// What the NCCL transport enqueues, and in which order it happens.
#include <gtest/gtest.h>

#include <cstdint>

#include "nccl_calls.hpp"

namespace sparccl::test {
namespace {

class NcclGathers : public NcclCalls, public testing::WithParamInterface<int> {};

TEST_P(NcclGathers, EveryRankGetsEverySlot) {
  const int ranks = GetParam();
  const UserComms comms(ranks);
  on_ranks(ranks, [&](int rank) {
    Rank self(comms, rank);
    EXPECT_TRUE(self.transport.asynchronous());
    EXPECT_EQ(rank, self.transport.rank());
    EXPECT_EQ(ranks, self.transport.size());
    int call = 0;
    for (const std::size_t count : {34u, 1u, 1000u}) {
      DeviceBytes slots(static_cast<std::size_t>(ranks) * count * 4);
      slots.set(slots_before(ranks, rank, ++call, count));
      if (count == 34u) {
        self.transport.meet(slots.get(), count * 4, self.stream.get());
      } else {
        self.transport.all_gather(slots.get(), count * 4, self.stream.get());
      }
      cuda::check(cudaStreamSynchronize(self.stream.get()));
      EXPECT_EQ(slots_after(ranks, call, count), slots.values<std::uint32_t>());
    }
  });
}

TEST_P(NcclGathers, SumsAndAverages) {
  const int ranks = GetParam();
  const UserComms comms(ranks);
  on_ranks(ranks, [&](int rank) {
    Rank self(comms, rank);
    const std::vector<float> own(100, static_cast<float>(rank + 1));
    const auto total = static_cast<float>(ranks * (ranks + 1) / 2);
    DeviceBytes send(400), recv(400);
    send.set(own);
    Transport& transport = self.transport;
    transport.all_reduce(send.get(), recv.get(), 100, DataType::float32, Reduction::sum,
                         self.stream.get());
    cuda::check(cudaStreamSynchronize(self.stream.get()));
    EXPECT_EQ(std::vector<float>(100, total), recv.values<float>());
    EXPECT_EQ(own, send.values<float>());
    transport.all_reduce(send.get(), send.get(), 100, DataType::float32, Reduction::avg,
                         self.stream.get());
    transport.all_reduce(send.get(), recv.get(), 0, DataType::float32, Reduction::sum, nullptr);
    cuda::check(cudaStreamSynchronize(self.stream.get()));
    EXPECT_EQ(std::vector<float>(100, total / static_cast<float>(ranks)), send.values<float>());
  });
}

INSTANTIATE_TEST_SUITE_P(Ranks, NcclGathers, testing::Values(1, 2, 3, 8));

TEST_F(NcclCalls, TheUsersCommunicatorMayBeDestroyedFirst) {
  std::vector<std::unique_ptr<Rank>> ranks;
  {
    const UserComms comms(2);
    ranks = make_ranks(comms);
  }
  EXPECT_EQ(2u, fakeNcclLive());
  on_ranks(2, [&](int rank) {
    Rank& self = *ranks[static_cast<std::size_t>(rank)];
    DeviceBytes slots(2 * 16);
    slots.set(slots_before(2, rank, 1, 4));
    self.transport.all_gather(slots.get(), 16, self.stream.get());
    cuda::check(cudaStreamSynchronize(self.stream.get()));
    EXPECT_EQ(slots_after(2, 1, 4), slots.values<std::uint32_t>());
  });
}

TEST_F(NcclCalls, ReturnsBeforeTheOthersAreDone) {
  const UserComms comms(2);
  const auto ranks = make_ranks(comms);
  on_ranks(2, [&](int rank) {  // connects
    Rank& self = *ranks[static_cast<std::size_t>(rank)];
    DeviceBytes slots(32);
    self.transport.meet(slots.get(), 16, self.stream.get());
    cuda::check(cudaStreamSynchronize(self.stream.get()));
  });
  // One thread, one rank after the other: each call returns though the other rank has not called.
  DeviceBytes slots[] = {DeviceBytes(32), DeviceBytes(32)};
  const std::uint64_t waits = simt::host_synchronisations_of_this_thread();
  for (int rank = 0; rank < 2; ++rank) {
    Rank& self = *ranks[static_cast<std::size_t>(rank)];
    self.transport.all_gather(slots[rank].get(), 16, self.stream.get());
  }
  EXPECT_EQ(waits, simt::host_synchronisations_of_this_thread());
  for (const auto& self : ranks) cuda::check(cudaStreamSynchronize(self->stream.get()));
}

TEST_F(NcclCalls, IsBehindWhatTheStreamHeldAndBeforeWhatFollows) {
  const UserComms comms(3);
  on_ranks(3, [&](int rank) {
    Rank self(comms, rank, 5000);
    const std::size_t bytes = 40;
    DeviceBytes slots(3 * bytes), mine(bytes), copy(3 * bytes);
    for (int call = 1; call <= 20; ++call) {
      mine.set(sent(rank, call, 10));
      auto* const slot =
          static_cast<std::byte*>(slots.get()) + static_cast<std::size_t>(rank) * bytes;
      cuda::check(
          cudaMemcpyAsync(slot, mine.get(), bytes, cudaMemcpyDeviceToDevice, self.stream.get()));
      self.transport.all_gather(slots.get(), bytes, self.stream.get());
      cuda::check(cudaMemcpyAsync(copy.get(), slots.get(), 3 * bytes, cudaMemcpyDeviceToDevice,
                                  self.stream.get()));
      cuda::check(cudaMemsetAsync(slots.get(), 0, 3 * bytes, self.stream.get()));
      cuda::check(cudaStreamSynchronize(self.stream.get()));
      ASSERT_EQ(slots_after(3, call, 10), copy.values<std::uint32_t>()) << "call " << call;
    }
  });
}

TEST_F(NcclCalls, TheDefaultStreamIsThatOfTheRanksDevice) {
  const UserComms comms(2);
  on_ranks(2, [&](int rank) {
    Rank self(comms, rank, 5000);
    DeviceBytes slots(32);
    slots.set(slots_before(2, rank, 1, 4));
    cuda::check(cudaSetDevice(3));  // the caller has gone on with another device
    self.transport.all_gather(slots.get(), 16, nullptr);
    int present = -1;
    cuda::check(cudaGetDevice(&present));
    EXPECT_EQ(3, present);
    cuda::check(cudaSetDevice(device_of(rank)));
    cuda::check(cudaStreamSynchronize(nullptr));
    EXPECT_EQ(slots_after(2, 1, 4), slots.values<std::uint32_t>());
  });
}

TEST_F(NcclCalls, OneThreadDrivesAllRanksInAGroup) {
  for (const int size : {1, 2, 8}) {
    const UserComms comms(size);
    const auto ranks = make_ranks(comms, 5000);
    std::vector<std::unique_ptr<DeviceBytes>> first, second;
    for (int rank = 0; rank < size; ++rank) {
      const cuda::DeviceGuard present(device_of(rank));
      for (auto* buffers : {&first, &second}) {
        buffers->push_back(std::make_unique<DeviceBytes>(static_cast<std::size_t>(size) * 40));
        buffers->back()->set(slots_before(size, rank, buffers == &first ? 1 : 2, 10));
      }
    }
    for (const auto& self : ranks) self->transport.begin_group();
    for (int rank = 0; rank < size; ++rank) {
      Rank& self = *ranks[static_cast<std::size_t>(rank)];
      self.transport.all_gather(first[static_cast<std::size_t>(rank)]->get(), 40,
                                self.stream.get());
      self.transport.all_gather(second[static_cast<std::size_t>(rank)]->get(), 40,
                                self.stream.get());
    }
    for (auto self = ranks.rbegin(); self != ranks.rend(); ++self) (*self)->transport.end_group();
    for (int rank = 0; rank < size; ++rank) {
      const auto place = static_cast<std::size_t>(rank);
      cuda::check(cudaStreamSynchronize(ranks[place]->stream.get()));
      if (size == 1) continue;
      EXPECT_EQ(slots_after(size, 1, 10), first[place]->values<std::uint32_t>());
      EXPECT_EQ(slots_after(size, 2, 10), second[place]->values<std::uint32_t>());
    }
  }
}

TEST_F(NcclCalls, AnEmptyGroupIsNothing) {
  const UserComms comms(2);
  const auto ranks = make_ranks(comms);
  for (const auto& self : ranks) self->transport.begin_group();
  EXPECT_EQ(Result::invalid_usage, code_thrown([&] { ranks[0]->transport.begin_group(); }));
  for (const auto& self : ranks) self->transport.end_group();
  ranks[0]->transport.end_group();  // none is open
  EXPECT_EQ(Result::success, ranks[0]->transport.async_error());
}

TEST_F(NcclCalls, OneThreadWithoutAGroupTimesOut) {
  const UserComms comms(2);
  const auto ranks = make_ranks(comms, 200);
  DeviceBytes slots(32);
  std::string text;
  EXPECT_EQ(
      Result::timeout,
      code_thrown([&] { ranks[0]->transport.all_gather(slots.get(), 16, ranks[0]->stream.get()); },
                  &text));
  EXPECT_EQ("rank 0 waited 200 ms to enqueue ncclAllGather; a rank did not arrive", text);
}

TEST_F(NcclCalls, WithoutATimeoutNoEventsAreRecorded) {
  for (const std::uint64_t timeout_ms : {0u, 5000u}) {
    const UserComms comms(2);
    const std::size_t events = simt::live().events;
    const auto ranks = make_ranks(comms, timeout_ms);
    on_ranks(2, [&](int rank) {
      Rank& self = *ranks[static_cast<std::size_t>(rank)];
      DeviceBytes slots(32);
      for (int call = 0; call < 10; ++call) {
        self.transport.all_gather(slots.get(), 16, self.stream.get());
        cuda::check(cudaStreamSynchronize(self.stream.get()));
      }
    });
    const std::size_t of_nccl = 2;  // the stand-in has one a communicator
    if (timeout_ms == 0) {
      EXPECT_EQ(events + of_nccl, simt::live().events);
    } else {
      EXPECT_LT(events + of_nccl, simt::live().events);
    }
  }
}

}  // namespace
}  // namespace sparccl::test
