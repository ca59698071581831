// Calls over NCCL are enqueued and no more: they follow the caller's stream, wait for nothing, and
// can be captured in a CUDA graph.
#include <gtest/gtest.h>

#include "device_rank.hpp"
#include "simt.hpp"

namespace sparccl::test {
namespace {

const Shape shape{.ranks = 3, .count = 20'000, .k = 200, .mu = 2};

TEST(Calls, DoNotWaitForTheDevice) {
  World world(shape);
  world.each([&](SparseAllreduce& tensor, int rank) {
    DeviceRank on(tensor, rank);
    on.set(gradient_of(shape, rank, 0));
    const std::uint64_t before = simt::host_synchronisations_of_this_thread();
    for (int t = 0; t < 5; ++t) on.call();
    static_cast<void>(tensor.stats());
    EXPECT_EQ(tensor.impl().communicator().async_error(), Result::success);
    EXPECT_EQ(simt::host_synchronisations_of_this_thread(), before);
    EXPECT_EQ(tensor.stats().steps, 0u);  // nothing has run yet
    on.finish();
    EXPECT_EQ(tensor.stats().steps, 5u);
    EXPECT_EQ(tensor.stats().last_entries, shape.k);
  });
}

/// What is enqueued on the stream before a call is seen by it, and sees its result behind it.
TEST(Calls, FollowTheStream) {
  World streamed(shape), plain(shape);
  for (std::size_t t = 0; t < 3; ++t) {
    std::vector<Bytes> expected(3), found(3);
    plain.each([&](SparseAllreduce& tensor, int rank) {
      expected[static_cast<std::size_t>(rank)] = run(tensor, gradient_of(shape, rank, t));
    });
    streamed.each([&](SparseAllreduce& tensor, int rank) {
      DeviceRank on(tensor, rank);
      const Bytes gradient = gradient_of(shape, rank, t);
      cuda::PinnedBuffer in(gradient.size()), out(gradient.size());
      std::copy(gradient.begin(), gradient.end(), static_cast<std::byte*>(in.data()));
      cuda::check(cudaMemcpyAsync(const_cast<void*>(on.gradient()), in.data(), in.bytes(),
                                  cudaMemcpyHostToDevice, on.stream()));
      on.call();
      cuda::check(cudaMemcpyAsync(out.data(), on.result(), out.bytes(), cudaMemcpyDeviceToHost,
                                  on.stream()));
      on.finish();
      const auto* bytes = static_cast<const std::byte*>(out.data());
      found[static_cast<std::size_t>(rank)].assign(bytes, bytes + out.bytes());
    });
    EXPECT_EQ(found, expected) << "step " << t;
  }
  EXPECT_EQ(streamed.states(), plain.states());
}

TEST(Graphs, GiveTheBitsOfEagerCalls) {
  constexpr std::size_t replays = 100;
  const Shape small{.ranks = 3, .count = 6'000, .k = 200, .mu = 2};
  World captured(small), eager(small);
  std::vector<std::vector<Bytes>> expected(3), found(3);
  eager.each([&](SparseAllreduce& tensor, int rank) {
    DeviceRank on(tensor, rank);
    for (std::size_t t = 0; t <= replays; ++t) {
      on.set(gradient_of(small, rank, t));
      on.call();
      on.finish();
      expected[static_cast<std::size_t>(rank)].push_back(on.get());
    }
  });
  captured.each([&](SparseAllreduce& tensor, int rank) {
    DeviceRank on(tensor, rank);
    auto& results = found[static_cast<std::size_t>(rank)];
    on.set(gradient_of(small, rank, 0));
    on.call();  // the first is eager: NCCL connects
    on.finish();
    results.push_back(on.get());
    cudaGraph_t graph = nullptr;
    cudaGraphExec_t step = nullptr;
    cuda::check(cudaStreamBeginCapture(on.stream(), cudaStreamCaptureModeThreadLocal));
    on.call();
    cuda::check(cudaStreamEndCapture(on.stream(), &graph));
    cuda::check(cudaGraphInstantiate(&step, graph, 0));
    for (std::size_t t = 1; t <= replays; ++t) {
      on.set(gradient_of(small, rank, t));
      cuda::check(cudaGraphLaunch(step, on.stream()));
      on.finish();
      results.push_back(on.get());
    }
    cuda::check(cudaGraphExecDestroy(step));
    cuda::check(cudaGraphDestroy(graph));
    EXPECT_EQ(tensor.stats().steps, replays + 1);
  });
  EXPECT_EQ(found, expected);
  EXPECT_EQ(captured.states(), eager.states());
}

/// Found in review: what paths keep from step to step is told by the steps that devices count, not
/// by calls of hosts, of which replays are none. Rank 1 calls; rank 0 replays what it has captured;
/// rank 2 has captured twice.
TEST(Graphs, MayBeReplayedWhileOthersCall) {
  for (const Path path : {Path::allgather, Path::split, Path::hierarchical}) {
    SCOPED_TRACE(name_of(path));
    const Shape each{
        .ranks = 4, .count = 3'000, .k = 60, .mu = 2, .path = path, .ranks_per_node = 2};
    World mixed(each), eager(each);
    constexpr std::size_t steps = 6;
    std::vector<std::vector<Bytes>> expected(4), found(4);
    eager.each([&](SparseAllreduce& tensor, int rank) {
      for (std::size_t t = 0; t < steps; ++t) {
        expected[static_cast<std::size_t>(rank)].push_back(run(tensor, gradient_of(each, rank, t)));
      }
    });
    mixed.each([&](SparseAllreduce& tensor, int rank) {
      DeviceRank on(tensor, rank);
      cudaGraphExec_t step = nullptr;
      for (std::size_t t = 0; t < steps; ++t) {
        on.set(gradient_of(each, rank, t));
        for (int captures = t == 1 ? (rank == 0   ? 1
                                      : rank == 2 ? 2
                                                  : 0)
                                   : 0;
             captures > 0; --captures) {
          if (step != nullptr) cuda::check(cudaGraphExecDestroy(step));
          cudaGraph_t graph = nullptr;
          cuda::check(cudaStreamBeginCapture(on.stream(), cudaStreamCaptureModeThreadLocal));
          on.call();
          cuda::check(cudaStreamEndCapture(on.stream(), &graph));
          cuda::check(cudaGraphInstantiate(&step, graph, 0));
          cuda::check(cudaGraphDestroy(graph));
        }
        if (step != nullptr) {
          cuda::check(cudaGraphLaunch(step, on.stream()));
        } else {
          on.call();
        }
        on.finish();
        found[static_cast<std::size_t>(rank)].push_back(on.get());
      }
      if (step != nullptr) cuda::check(cudaGraphExecDestroy(step));
      EXPECT_EQ(tensor.stats().steps, steps);
    });
    EXPECT_EQ(found, expected);
    EXPECT_EQ(mixed.states(), eager.states());
  }
}

}  // namespace
}  // namespace sparccl::test
