// The NCCL transport and CUDA graphs.
#include <gtest/gtest.h>

#include <chrono>
#include <cstdint>
#include <thread>

#include "nccl_calls.hpp"

namespace sparccl::test {
namespace {

using NcclCaptures = NcclCalls;

TEST_F(NcclCaptures, CanBeCapturedAndReplayed) {
  constexpr int size = 3;
  const UserComms comms(size);
  on_ranks(size, [&](int rank) {
    Rank self(comms, rank, 5000);
    const cudaStream_t stream = self.stream.get();
    const std::size_t bytes = 40;
    DeviceBytes slots(size * bytes), mine(bytes), total(4);
    auto* const slot =
        static_cast<std::byte*>(slots.get()) + static_cast<std::size_t>(rank) * bytes;
    const auto step = [&] {
      cuda::check(cudaMemcpyAsync(slot, mine.get(), bytes, cudaMemcpyDeviceToDevice, stream));
      self.transport.all_gather(slots.get(), bytes, stream);
      self.transport.all_reduce(mine.get(), total.get(), 1, DataType::uint32, Reduction::max,
                                stream);
    };
    mine.set(sent(rank, 1, 10));
    step();
    cuda::check(cudaStreamSynchronize(stream));

    cudaGraph_t graph = nullptr;
    cudaGraphExec_t executable = nullptr;
    cuda::check(cudaStreamBeginCapture(stream, cudaStreamCaptureModeThreadLocal));
    step();
    cuda::check(cudaStreamEndCapture(stream, &graph));
    cuda::check(cudaGraphInstantiate(&executable, graph, 0));
    for (int call = 2; call < 12; ++call) {
      mine.set(sent(rank, call, 10));
      cuda::check(cudaGraphLaunch(executable, stream));
      cuda::check(cudaStreamSynchronize(stream));
      ASSERT_EQ(slots_after(size, call, 10), slots.values<std::uint32_t>());
      ASSERT_EQ(sent(size - 1, call, 1), total.values<std::uint32_t>());
    }
    EXPECT_EQ(Result::success, self.transport.async_error());
    cuda::check(cudaGraphExecDestroy(executable));
    cuda::check(cudaGraphDestroy(graph));
  });
}

TEST_F(NcclCaptures, ACaptureUnderWayIsNotSpoiledByTheWatchdog) {
  const UserComms comms(2);
  const auto pair = make_ranks(comms, 60'000);
  DeviceBytes slots[] = {DeviceBytes(32), DeviceBytes(32)};
  const auto gather = [&] {
    for (const auto& self : pair) self->transport.begin_group();
    for (std::size_t rank = 0; rank < 2; ++rank) {
      pair[rank]->transport.all_gather(slots[rank].get(), 16, pair[rank]->stream.get());
    }
    for (const auto& self : pair) self->transport.end_group();
  };
  gather();  // the watchdogs have events to query from here on
  cuda::OwnStream stream;
  DeviceBytes bytes(16);
  cudaGraph_t graph = nullptr;
  cuda::check(cudaStreamBeginCapture(stream.get(), cudaStreamCaptureModeGlobal));
  cuda::check(cudaMemsetAsync(bytes.get(), 0, 16, stream.get()));
  std::this_thread::sleep_for(std::chrono::milliseconds(100));
  EXPECT_EQ(cudaSuccess, cudaStreamEndCapture(stream.get(), &graph));
  cuda::check(cudaGraphDestroy(graph));
  for (const auto& self : pair) {
    cuda::check(cudaStreamSynchronize(self->stream.get()));
    EXPECT_EQ(Result::success, self->transport.async_error());
  }
}

}  // namespace
}  // namespace sparccl::test
