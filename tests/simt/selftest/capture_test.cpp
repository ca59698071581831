// Stream capture: what is recorded, replayed, and refused.
#include <gtest/gtest.h>

#include <functional>
#include <set>
#include <thread>

#include "kernels.hpp"

namespace simt::test {
namespace {

using sparccl::cuda::check;
using sparccl::cuda::Event;
using sparccl::cuda::OwnStream;

class Captures : public testing::Test {
 protected:
  void SetUp() override { reset(); }
  void TearDown() override {
    set_schedule(1);
    reset();
    EXPECT_EQ(live(), Live{});
  }
  static void begin(const OwnStream& stream,
                    cudaStreamCaptureMode mode = cudaStreamCaptureModeGlobal) {
    check(cudaStreamBeginCapture(stream.get(), mode));
  }
  /// Ends the capture of a stream, and expects an error.
  static void expect_void(const OwnStream& stream, cudaError_t error) {
    cudaStreamCaptureStatus status{};
    cudaGraph_t graph = nullptr;
    EXPECT_EQ(cudaStreamIsCapturing(stream.get(), &status), cudaSuccess);
    EXPECT_EQ(status, error == cudaErrorStreamCaptureInvalidated
                          ? cudaStreamCaptureStatusInvalidated
                          : cudaStreamCaptureStatusActive);
    EXPECT_EQ(cudaStreamEndCapture(stream.get(), &graph), error);
    EXPECT_EQ(graph, nullptr);
    EXPECT_EQ(cudaStreamIsCapturing(stream.get(), &status), cudaSuccess);
    EXPECT_EQ(status, cudaStreamCaptureStatusNone);
    static_cast<void>(cudaGetLastError());
  }
};

/// A graph's executable.
class Replay {
 public:
  explicit Replay(cudaStream_t captured) {
    cudaGraph_t graph = nullptr;
    check(cudaStreamEndCapture(captured, &graph));
    check(cudaGraphInstantiate(&executable_, graph));
    check(cudaGraphGetNodes(graph, nullptr, &nodes));
    check(cudaGraphDestroy(graph));
  }
  ~Replay() { static_cast<void>(cudaGraphExecDestroy(executable_)); }
  Replay(const Replay&) = delete;
  Replay& operator=(const Replay&) = delete;
  void launch(cudaStream_t stream) const { check(cudaGraphLaunch(executable_, stream)); }
  std::size_t nodes = 0;

 private:
  cudaGraphExec_t executable_ = nullptr;
};

TEST_F(Captures, ReplayAsOftenAsAsked) {
  const OwnStream stream;
  const Buffer words(std::vector<std::uint32_t>(70, 0u));
  begin(stream);
  std::uint32_t factor = 2;
  step(words.get(), 70, factor, stream.get());
  factor = 100;  // arguments are those of the capture
  step(words.get(), 70, 1, stream.get());
  int calls = 0;
  check(cudaLaunchHostFunc(
      stream.get(), [](void* n) { ++*static_cast<int*>(n); }, &calls));
  const Replay replay(stream.get());
  EXPECT_EQ(replay.nodes, 3u);
  EXPECT_EQ(words.values()[69], 0u);  // nothing has run
  for (int i = 0; i < 3; ++i) replay.launch(stream.get());
  EXPECT_EQ(calls, 0);
  EXPECT_EQ(words.values()[69], ((0 * 2 + 3) * 2 + 3) * 2 + 3u);
  EXPECT_EQ(calls, 3);
  EXPECT_EQ(live().graphs, 1u);
}

TEST_F(Captures, CopiesAndFillsAreRecorded) {
  const OwnStream stream;
  const Buffer from(numbers(8)), to(8);
  begin(stream, cudaStreamCaptureModeThreadLocal);
  check(cudaMemcpyAsync(to.get(), from.get(), 32, cudaMemcpyDeviceToDevice, stream.get()));
  check(cudaMemsetAsync(to.get(), 0, 4, stream.get()));
  const Replay replay(stream.get());
  replay.launch(stream.get());
  auto expected = numbers(8);
  expected[0] = 0;
  EXPECT_EQ(to.values(), expected);
}

TEST_F(Captures, ForkAndJoin) {
  std::set<std::uint32_t> seen;
  for (std::uint64_t seed = 0; seed < schedules; ++seed) {
    set_schedule(seed);
    const OwnStream stream, side;
    const Event forked, joined;
    const Buffer words(std::vector<std::uint32_t>(1, 0u)), other(std::vector<std::uint32_t>(1, 0u));
    begin(stream);
    step(words.get(), 1, 2, stream.get());
    check(cudaEventRecord(forked.get(), stream.get()));
    check(cudaStreamWaitEvent(side.get(), forked.get()));
    step(words.get(), 1, 3, side.get());
    step(words.get(), 1, 5, stream.get());
    check(cudaEventRecord(joined.get(), side.get()));
    check(cudaStreamWaitEvent(stream.get(), joined.get()));
    step(words.get(), 1, 1, stream.get());
    const Replay replay(stream.get());
    EXPECT_EQ(replay.nodes, 4u);
    replay.launch(stream.get());
    const std::uint32_t found = words.values()[0];
    EXPECT_TRUE(found == (3 * 3 + 1) * 5 + 1u || found == (3 * 5 + 1) * 3 + 1u) << found;
    seen.insert(found);
  }
  EXPECT_EQ(seen.size(), 2u);
}

TEST_F(Captures, WhatIsForkedMustJoin) {
  const OwnStream stream, side;
  const Event forked;
  const Buffer words(std::vector<std::uint32_t>(1, 0u));
  begin(stream);
  step(words.get(), 1, 2, stream.get());
  check(cudaEventRecord(forked.get(), stream.get()));
  check(cudaStreamWaitEvent(side.get(), forked.get()));
  step(words.get(), 1, 3, side.get());
  expect_void(stream, cudaErrorStreamCaptureUnjoined);
  step(words.get(), 1, 3, side.get());  // usable again
  EXPECT_EQ(words.values()[0], 3u);
}

TEST_F(Captures, WaitsAreRefusedAndVoidTheCapture) {
  const OwnStream stream;
  const Event event, timed(true);
  const Buffer words(numbers(4));
  std::uint32_t value = 0;
  float milliseconds = 0;
  const std::function<cudaError_t()> all[] = {
      [&] { return cudaStreamSynchronize(stream.get()); },
      [&] { return cudaStreamQuery(stream.get()); },
      [&] { return cudaDeviceSynchronize(); },
      [&] { return cudaMemcpy(&value, words.get(), 4, cudaMemcpyDeviceToHost); },
      [&] {
        void* p = nullptr;
        return cudaMalloc(&p, 4);
      },
      [&] { return cudaEventSynchronize(event.get()); },
      [&] { return cudaEventElapsedTime(&milliseconds, timed.get(), timed.get()); },
  };
  for (const auto& each : all) {
    begin(stream);
    EXPECT_EQ(each(), cudaErrorStreamCaptureUnsupported);
    EXPECT_THROW(step(words.get(), 4, 1, stream.get()), sparccl::Error);
    expect_void(stream, cudaErrorStreamCaptureInvalidated);
  }
  begin(stream);
  check(cudaEventRecord(event.get(), stream.get()));
  EXPECT_EQ(cudaEventQuery(event.get()), cudaErrorCapturedEvent);
  expect_void(stream, cudaErrorStreamCaptureInvalidated);
  begin(stream);
  check(cudaEventRecord(timed.get(), stream.get()));
  EXPECT_EQ(cudaEventElapsedTime(&milliseconds, timed.get(), timed.get()), cudaErrorCapturedEvent);
  expect_void(stream, cudaErrorStreamCaptureInvalidated);
  EXPECT_EQ(words.values(), numbers(4));
}

TEST_F(Captures, ModesAreThoseOfThreads) {
  const OwnStream stream;
  const auto allocate_elsewhere = [](cudaStreamCaptureMode own) {
    cudaError_t code = cudaSuccess;
    std::thread([&] {
      check(cudaThreadExchangeStreamCaptureMode(&own));
      void* memory = nullptr;
      code = cudaMalloc(&memory, 4);
      if (code == cudaSuccess) {
        code = cudaFree(memory);
      }
    }).join();
    return code;
  };
  const auto end = [&] { const Replay replay(stream.get()); };
  begin(stream, cudaStreamCaptureModeGlobal);
  EXPECT_EQ(allocate_elsewhere(cudaStreamCaptureModeRelaxed), cudaSuccess);
  EXPECT_EQ(allocate_elsewhere(cudaStreamCaptureModeThreadLocal), cudaSuccess);
  end();
  begin(stream, cudaStreamCaptureModeGlobal);
  EXPECT_EQ(allocate_elsewhere(cudaStreamCaptureModeGlobal), cudaErrorStreamCaptureUnsupported);
  expect_void(stream, cudaErrorStreamCaptureInvalidated);
  begin(stream, cudaStreamCaptureModeThreadLocal);
  EXPECT_EQ(allocate_elsewhere(cudaStreamCaptureModeGlobal), cudaSuccess);
  end();
  begin(stream, cudaStreamCaptureModeRelaxed);
  void* memory = nullptr;
  EXPECT_EQ(cudaMalloc(&memory, 4), cudaSuccess);
  end();
  EXPECT_EQ(cudaFree(memory), cudaSuccess);
}

TEST_F(Captures, UncapturedWorkIsNotWaitedFor) {
  const OwnStream stream, other;
  const Event event;
  const Buffer words(numbers(4));
  step(words.get(), 4, 1, other.get());
  check(cudaEventRecord(event.get(), other.get()));
  begin(stream);
  EXPECT_EQ(cudaStreamWaitEvent(stream.get(), event.get()), cudaErrorStreamCaptureIsolation);
  expect_void(stream, cudaErrorStreamCaptureInvalidated);
  check(cudaDeviceSynchronize());
}

TEST_F(Captures, TheDefaultStream) {
  EXPECT_EQ(cudaStreamBeginCapture(nullptr, cudaStreamCaptureModeGlobal),
            cudaErrorStreamCaptureUnsupported);
  cudaStream_t blocking = nullptr;
  check(cudaStreamCreate(&blocking));
  const Buffer words(numbers(4));
  check(cudaStreamBeginCapture(blocking, cudaStreamCaptureModeRelaxed));
  EXPECT_EQ(cudaMemsetAsync(words.get(), 0, 4, nullptr), cudaErrorStreamCaptureImplicit);
  cudaGraph_t graph = nullptr;
  EXPECT_EQ(cudaStreamEndCapture(blocking, &graph), cudaErrorStreamCaptureInvalidated);
  check(cudaStreamDestroy(blocking));
}

TEST_F(Captures, EndsWhereItBegan) {
  const OwnStream stream;
  cudaGraph_t graph = nullptr;
  EXPECT_EQ(cudaStreamEndCapture(stream.get(), &graph), cudaErrorIllegalState);
  begin(stream);
  cudaError_t code = cudaSuccess;
  std::thread([&] { code = cudaStreamEndCapture(stream.get(), &graph); }).join();
  EXPECT_EQ(code, cudaErrorStreamCaptureWrongThread);
  const Replay replay(stream.get());
  EXPECT_EQ(replay.nodes, 0u);
  replay.launch(stream.get());
  check(cudaStreamSynchronize(stream.get()));
}

}  // namespace
}  // namespace simt::test
