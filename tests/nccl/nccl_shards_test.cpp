// Slots and shards over NCCL: alone, in a group of one thread, and in a graph.
#include <gtest/gtest.h>

#include <memory>

#include "nccl_exchanges.hpp"

namespace sparccl::test {
namespace {

class NcclShards : public NcclCalls, public testing::WithParamInterface<int> {};
INSTANTIATE_TEST_SUITE_P(Ranks, NcclShards, testing::Values(1, 2, 3, 4, 8));

TEST_P(NcclShards, ReachTheirRanks) {
  const int ranks = GetParam();
  const UserComms comms(ranks);
  on_ranks(ranks, [&](int rank) {
    Rank self(comms, rank, 5000);
    int call = 0;
    for (const std::size_t count : {5u, 0u, 1u, 8u, 1003u}) {
      Exchanges(self.transport, up_to(ranks), count).expect_exchanged(++call, self.stream.get());
    }
    EXPECT_EQ(Result::success, self.transport.async_error());
  });
}

TEST_F(NcclCalls, ShardsOfEveryTypeAreReduced) {
  const UserComms comms(3);
  on_ranks(3, [&](int rank) {
    Rank self(comms, rank);
    for (const DataType type : {DataType::int8, DataType::float16, DataType::bfloat16,
                                DataType::int64, DataType::float64}) {
      const std::size_t width = size_of(type);
      const Shard shard(8, 3, rank);
      DeviceBytes send(8 * width), recv(shard.count * width);  // of zeros, whatever the type
      recv.set(std::vector<std::uint8_t>(recv.size(), 9));
      self.transport.reduce_scatter(send.get(), recv.get(), 8, type, self.stream.get());
      cuda::check(cudaStreamSynchronize(self.stream.get()));
      EXPECT_EQ(std::vector<std::uint8_t>(recv.size(), 0), recv.values<std::uint8_t>());
    }
  });
}

TEST_F(NcclCalls, OneThreadExchangesShardsOfAllRanksInAGroup) {
  for (const int size : {1, 2, 3}) {
    const UserComms comms(size);
    const auto ranks = make_ranks(comms, 5000);
    std::vector<std::unique_ptr<Exchanges>> exchanges;
    for (int rank = 0; rank < size; ++rank) {
      const cuda::DeviceGuard present(device_of(rank));
      exchanges.push_back(std::make_unique<Exchanges>(
          ranks[static_cast<std::size_t>(rank)]->transport, up_to(size), 10));
      exchanges.back()->set(3);
    }
    for (const auto& self : ranks) self->transport.begin_group();
    for (std::size_t r = 0; r < ranks.size(); ++r) exchanges[r]->enqueue(ranks[r]->stream.get());
    for (const auto& self : ranks) self->transport.end_group();
    for (const auto& self : ranks) cuda::check(cudaStreamSynchronize(self->stream.get()));
    for (const auto& each : exchanges) each->expect_done();
  }
}

TEST_F(NcclCalls, ShardsAreCapturedAndReplayedOnAllRanksAndInGroups) {
  const UserComms comms(4);
  on_ranks(4, [&](int rank) {
    Rank self(comms, rank, 5000);
    const cudaStream_t stream = self.stream.get();
    const auto pair = self.transport.group(rank / 2);
    Exchanges all(self.transport, up_to(4), 11);
    Exchanges inside(*pair, {rank / 2 * 2, rank / 2 * 2 + 1}, 5);
    const auto step = [&] {
      inside.enqueue(stream);
      all.enqueue(stream);
      inside.enqueue(stream);
    };
    all.set(1);
    inside.set(1);
    step();
    cuda::check(cudaStreamSynchronize(stream));
    cudaGraph_t graph = nullptr;
    cudaGraphExec_t executable = nullptr;
    cuda::check(cudaStreamBeginCapture(stream, cudaStreamCaptureModeThreadLocal));
    step();
    cuda::check(cudaStreamEndCapture(stream, &graph));
    cuda::check(cudaGraphInstantiate(&executable, graph, 0));
    for (int call = 2; call < 8; ++call) {
      all.set(call);
      inside.set(call);
      cuda::check(cudaGraphLaunch(executable, stream));
      cuda::check(cudaStreamSynchronize(stream));
      all.expect_done();
      inside.expect_done();
    }
    EXPECT_EQ(Result::success, self.transport.async_error());
    cuda::check(cudaGraphExecDestroy(executable));
    cuda::check(cudaGraphDestroy(graph));
  });
}

TEST_F(NcclCalls, EachCallOfNcclThatFailsIsNamed) {
  for (const char* function : {"ncclSend", "ncclRecv", "ncclReduceScatter", "ncclReduce",
                               "ncclBroadcast", "ncclGroupStart"}) {
    const UserComms comms(2);
    const auto ranks = make_ranks(comms);
    DeviceBytes a(64), b(64);
    fakeNcclFailNext(function, ncclSystemError);
    const std::string name = function;
    std::string text;
    const auto call = [&] {
      Transport& transport = ranks[1]->transport;
      const cudaStream_t stream = ranks[1]->stream.get();
      if (name == "ncclSend" || name == "ncclRecv" || name == "ncclGroupStart") {
        transport.all_to_all(a.get(), b.get(), 16, stream);
      } else if (name == "ncclBroadcast") {
        transport.all_gather_shards(a.get(), 3, 4, stream);
      } else {
        transport.reduce_scatter(a.get(), b.get(), 3, DataType::float32, stream);
      }
    };
    EXPECT_EQ(Result::system_error, code_thrown(call, &text)) << function;
    EXPECT_NE(std::string::npos, text.find(name + " was made to fail")) << text;
    EXPECT_EQ(Result::system_error, ranks[1]->transport.async_error());
    // the thread's group is closed: another communicator's calls are carried out at its end
    const auto pair = make_ranks(comms);
    DeviceBytes slots[] = {DeviceBytes(32), DeviceBytes(32)};
    for (std::size_t r = 0; r < 2; ++r) slots[r].set(slots_before(2, static_cast<int>(r), 1, 4));
    for (const auto& self : pair) self->transport.begin_group();
    for (std::size_t r = 0; r < 2; ++r) {
      pair[r]->transport.all_gather(slots[r].get(), 16, pair[r]->stream.get());
    }
    for (const auto& self : pair) self->transport.end_group();
    for (std::size_t r = 0; r < 2; ++r) {
      cuda::check(cudaStreamSynchronize(pair[r]->stream.get()));
      EXPECT_EQ(slots_after(2, 1, 4), slots[r].values<std::uint32_t>());
    }
  }
}

/// The stand-in is as strict as NCCL: these never end.
TEST_F(NcclCalls, RanksWithOtherShardsAreATimeoutAndNoMore) {
  for (const int which : {0, 1, 2}) {
    const UserComms comms(2);
    const auto ranks = make_ranks(comms, 100);
    on_ranks(2, [&](int rank) {
      Rank& self = *ranks[static_cast<std::size_t>(rank)];
      DeviceBytes a(64), b(64);
      const std::size_t count = rank == 0 ? 3 : 5;
      const auto call = [&] {
        if (which == 0) self.transport.all_to_all(a.get(), b.get(), count, self.stream.get());
        if (which == 1) {
          self.transport.reduce_scatter(a.get(), b.get(), count, DataType::float32,
                                        self.stream.get());
        }
        if (which == 2) self.transport.all_gather_shards(a.get(), count, 4, self.stream.get());
      };
      EXPECT_EQ(Result::success, code_thrown(call));
      cuda::check(cudaStreamSynchronize(self.stream.get()));
      EXPECT_TRUE(eventually([&] { return self.transport.async_error() == Result::timeout; }));
    });
  }
}

}  // namespace
}  // namespace sparccl::test
