// What profilers and clocks see of calls over NCCL, and that calls do not change by it.
#include <gtest/gtest.h>

#include <future>
#include <stdexcept>

#include "cuda/event_clock.hpp"
#include "device_rank.hpp"

namespace sparccl::test {
namespace {

using std::chrono::steady_clock;

const Shape alone{.ranks = 1, .count = 3'000, .k = 30, .mu = 2};

/// That floats can be wrong by, as CUDA tells times.
constexpr std::chrono::microseconds nearly{10};

/// Of a tensor whose stages are measured: what the listener is told.
struct Heard {
  explicit Heard(SparseAllreduce& of) : tensor(of.impl()) {
    tensor.measure_stages([this](const StageTimes& times) { calls.push_back(times); });
  }
  [[nodiscard]] StageTimes::Span span(std::size_t call, Stage stage) const {
    return calls.at(call).spans[static_cast<std::size_t>(stage)];
  }
  SparseAllreduce::Impl& tensor;
  std::vector<StageTimes> calls;
};

TEST(Ranges, NestAndHaveNames) {
  World world(alone);
  DeviceRank on(world.tensor(0), 0);
  on.set(gradient_of(alone, 0, 0));
  simt::record_ranges();
  on.call();
  const std::string eager = "sparccl:fc1.weight(wait()accumulate()select()pack()exchange()merge())";
  EXPECT_EQ(simt::recorded_ranges(), eager);

  simt::record_ranges();
  Group group;
  on.call();
  EXPECT_EQ(simt::recorded_ranges(), "");
  group.end();
  std::string grouped;
  for (const char* phase :
       {"wait()", "wait()", "wait()", "accumulate()select()pack()", "exchange()", "merge()"}) {
    grouped += std::string("sparccl:fc1.weight(") + phase + ")";
  }
  EXPECT_EQ(simt::recorded_ranges(), grouped);
  on.finish();
}

TEST(StageTimes, AreThoseOfEagerCalls) {
  const Shape shape{.ranks = 2, .count = 3'000, .k = 30, .mu = 2};
  constexpr std::size_t steps = 4;
  World world(shape);
  world.each([&](SparseAllreduce& tensor, int rank) {
    DeviceRank on(tensor, rank);
    on.set(gradient_of(shape, rank, 0));
    on.call();
    on.finish();
    EXPECT_EQ(tensor.stats().seconds.total(), 0.0);
    Heard heard(tensor);
    const std::uint64_t waits = simt::host_synchronisations_of_this_thread();
    const steady_clock::time_point start = steady_clock::now();
    for (std::size_t t = 0; t < steps; ++t) on.call();
    tensor.impl().collect_stage_times();
    EXPECT_EQ(simt::host_synchronisations_of_this_thread(), waits);
    on.finish();
    tensor.impl().collect_stage_times();
    const steady_clock::time_point stop = steady_clock::now();

    ASSERT_EQ(heard.calls.size(), steps);
    double total = 0;
    const std::chrono::milliseconds set_within{500};  // the device's clock, where cores are few
    steady_clock::time_point at = start - set_within;
    for (std::size_t call = 0; call < steps; ++call) {
      EXPECT_EQ(heard.calls[call].call, call);
      EXPECT_GE(heard.span(call, Stage::wait).begin, at - nearly);
      at = heard.span(call, Stage::wait).begin;
      for (const StageTimes::Span& span : std::span(heard.calls[call].spans).first(stage_count)) {
        EXPECT_EQ(span.begin, at);
        EXPECT_GT(span.end, span.begin);
        at = span.end;
      }
      total += heard.calls[call].seconds().total();
      EXPECT_NEAR(heard.calls[call].seconds().total(),
                  std::chrono::duration<double>(at - heard.span(call, Stage::wait).begin).count(),
                  1e-9);
    }
    EXPECT_LE(at, stop + set_within);
    EXPECT_NEAR(tensor.stats().seconds.total(), total, 1e-9);
    EXPECT_EQ(tensor.stats().last_seconds.merge, heard.calls.back().seconds().merge);
    EXPECT_GT(tensor.stats().last_seconds.merge, 0.0);
  });
}

/// Whether or not an eager call is under way, of which nobody may ask during a capture.
TEST(StageTimes, AreNotOfCapturedCalls) {
  World world(alone);
  SparseAllreduce& tensor = world.tensor(0);
  DeviceRank on(tensor, 0);
  on.set(gradient_of(alone, 0, 0));
  Heard heard(tensor);
  for (const bool under_way : {true, false}) {
    on.call();
    if (!under_way) on.finish();
    cudaGraph_t graph = nullptr;
    cudaGraphExec_t step = nullptr;
    cuda::check(cudaStreamBeginCapture(on.stream(), cudaStreamCaptureModeGlobal));
    for (int t = 0; t < 2; ++t) on.call();
    cuda::check(cudaStreamEndCapture(on.stream(), &graph));
    cudaStreamCaptureMode mode = cudaStreamCaptureModeGlobal;
    cuda::check(cudaThreadExchangeStreamCaptureMode(&mode));
    EXPECT_EQ(mode, cudaStreamCaptureModeGlobal);  // as it was
    cuda::check(cudaGraphInstantiate(&step, graph, 0));
    for (int t = 0; t < 3; ++t) cuda::check(cudaGraphLaunch(step, on.stream()));
    on.finish();
    cuda::check(cudaGraphExecDestroy(step));
    cuda::check(cudaGraphDestroy(graph));
  }
  tensor.impl().collect_stage_times();
  ASSERT_EQ(heard.calls.size(), 2u);
  EXPECT_EQ(heard.calls[0].call, 0u);
  EXPECT_EQ(heard.calls[1].call, 3u);
  EXPECT_EQ(tensor.stats().steps, 14u);
}

/// Too many calls under way: some are not measured, all are carried out, none waits.
TEST(StageTimes, AreOfAsManyCallsAsThereIsRoomFor) {
  constexpr std::size_t room = cuda::EventClock::calls_under_way, calls = room + 3;
  World world(alone), plain(alone);
  DeviceRank on(world.tensor(0), 0), beside(plain.tensor(0), 0);
  on.set(gradient_of(alone, 0, 0));
  beside.set(gradient_of(alone, 0, 0));
  Heard heard(world.tensor(0));
  std::promise<void> go;
  cuda::check(cudaLaunchHostFunc(
      on.stream(),
      [](void* promise) { static_cast<std::promise<void>*>(promise)->get_future().wait(); }, &go));
  const simt::Live live = simt::live();
  const std::uint64_t waits = simt::host_synchronisations_of_this_thread();
  for (std::size_t t = 0; t < calls; ++t) on.call();
  EXPECT_EQ(simt::live(), live);
  EXPECT_EQ(simt::host_synchronisations_of_this_thread(), waits);
  go.set_value();
  on.finish();
  on.call();
  on.finish();
  world.tensor(0).impl().collect_stage_times();
  ASSERT_EQ(heard.calls.size(), room + 1);
  for (std::size_t t = 0; t < room; ++t) EXPECT_EQ(heard.calls[t].call, t);
  EXPECT_EQ(heard.calls[room].call, calls);
  EXPECT_EQ(world.tensor(0).stats().steps, calls + 1);
  for (std::size_t t = 0; t <= calls; ++t) beside.call();
  beside.finish();
  EXPECT_EQ(on.get(), beside.get());
  EXPECT_EQ(world.states(), plain.states());
}

/// A call's stages are its own, though those of others lie between them on the stream.
TEST(StageTimes, OfAGroupLeaveOthersOut) {
  World first(alone), second(alone);
  DeviceRank a(first.tensor(0), 0), b(second.tensor(0), 0);
  a.set(gradient_of(alone, 0, 0));
  b.set(gradient_of(alone, 0, 1));
  Heard of_a(first.tensor(0)), of_b(second.tensor(0));
  Group group;
  a.call();
  second.tensor(0)(b.gradient(), b.result(), 1.0, a.stream());
  group.end();
  a.finish();
  for (Heard* each : {&of_a, &of_b}) {
    each->tensor.collect_stage_times();
    ASSERT_EQ(each->calls.size(), 1u);
    for (const StageTimes::Span& span : std::span(each->calls[0].spans).first(stage_count)) {
      EXPECT_GE(span.end, span.begin);
    }
  }
  // Within one call each: two tensors' clocks were not set at the same moment.
  const auto expect_gap = [](const Heard& in, Stage after, Stage until, const Heard& of, Stage from,
                             Stage to) {
    const auto gap = in.span(0, until).begin - in.span(0, after).end;
    EXPECT_GE(gap + nearly, of.span(0, to).end - of.span(0, from).begin) << name_of(until);
  };
  expect_gap(of_b, Stage::wait, Stage::accumulate, of_a, Stage::accumulate, Stage::pack);
  expect_gap(of_a, Stage::pack, Stage::exchange, of_b, Stage::accumulate, Stage::pack);
  expect_gap(of_b, Stage::exchange, Stage::merge, of_a, Stage::merge, Stage::merge);
}

TEST(StageTimes, OfTwoStreams) {
  World world(alone);
  DeviceRank on(world.tensor(0), 0);
  on.set(gradient_of(alone, 0, 0));
  Heard heard(world.tensor(0));
  const cuda::OwnStream other;
  const cuda::Event between;
  on.call();
  cuda::check(cudaEventRecord(between.get(), on.stream()));
  cuda::check(cudaStreamWaitEvent(other.get(), between.get()));
  world.tensor(0)(on.gradient(), on.result(), 1.0, other.get());
  cuda::check(cudaStreamSynchronize(other.get()));
  heard.tensor.collect_stage_times();
  ASSERT_EQ(heard.calls.size(), 2u);
  EXPECT_GE(heard.span(1, Stage::wait).begin + nearly, heard.span(0, Stage::merge).end);
}

TEST(StageTimes, AListenerThatThrowsHarmsNothing) {
  World world(alone);
  SparseAllreduce& tensor = world.tensor(0);
  DeviceRank on(tensor, 0);
  on.set(gradient_of(alone, 0, 0));
  tensor.impl().measure_stages([](const StageTimes&) { throw std::runtime_error("full"); });
  on.call();
  on.finish();
  EXPECT_NO_THROW(on.call());
  EXPECT_GT(tensor.stats().seconds.merge, 0.0);
  on.finish();
}

class Clocks : public testing::Test {
 protected:
  void call(bool ended = true) {
    clock_.begin(stream_.get());
    for (std::size_t stage = 0; stage < stage_count; ++stage) clock_.lap(static_cast<Stage>(stage));
    if (ended) clock_.end();
  }
  /// The number of the next call that is handed out, or nothing.
  [[nodiscard]] std::optional<std::uint64_t> next() {
    cuda::check(cudaStreamSynchronize(stream_.get()));
    const StageTimes* const times = clock_.next();
    return times != nullptr ? std::optional(times->call) : std::nullopt;
  }
  cuda::OwnStream stream_;
  cuda::EventClock clock_{0, stream_.get()};
};

TEST_F(Clocks, ForgetCallsThatDidNotEnd) {
  call(false);
  EXPECT_EQ(next(), std::nullopt);
  call();
  EXPECT_EQ(next(), 1u);
  clock_.end();
  EXPECT_EQ(next(), std::nullopt);
}

TEST_F(Clocks, LeaveOutWhatHasTooManyMarks) {
  clock_.begin(stream_.get());
  for (int i = 0; i < 100; ++i) clock_.skip();
  clock_.end();
  call();
  EXPECT_EQ(next(), 1u);
  EXPECT_EQ(next(), std::nullopt);
}

TEST_F(Clocks, OutliveADeviceThatFails) {
  call();
  simt::fail_all_calls(cudaErrorUnknown);
  call();
  EXPECT_EQ(clock_.next(), nullptr);
  simt::fail_all_calls(cudaSuccess);
  call();
  EXPECT_EQ(next(), 2u);
}

}  // namespace
}  // namespace sparccl::test
