// Streams are deferred, ordered within, and ordered by events between each other.
#include <gtest/gtest.h>

#include <atomic>
#include <barrier>
#include <mutex>
#include <set>
#include <thread>

#include "kernels.hpp"

namespace simt::test {
namespace {

using sparccl::cuda::check;
using sparccl::cuda::Event;
using sparccl::cuda::OwnStream;

class Streams : public testing::Test {
 protected:
  void SetUp() override { reset(); }
  void TearDown() override {
    set_schedule(1);
    EXPECT_EQ(cudaDeviceSynchronize(), cudaSuccess);
    reset();
    EXPECT_EQ(live(), Live{});
  }
};

/// Appends to a list when a stream comes to it.
struct Note {
  std::string* list;
  char letter;
  static void write(void* note) {
    static std::mutex mutex;  // streams may run on several threads
    const std::scoped_lock lock(mutex);
    const Note& self = *static_cast<Note*>(note);
    *self.list += self.letter;
  }
};
void note(cudaStream_t stream, Note& what) {
  check(cudaLaunchHostFunc(stream, Note::write, &what));
}

TEST_F(Streams, NothingRunsBeforeAWait) {
  const OwnStream stream;
  std::string list;
  Note a{&list, 'a'}, b{&list, 'b'};
  note(stream.get(), a);
  note(stream.get(), b);
  EXPECT_EQ(list, "");
  ASSERT_EQ(cudaStreamSynchronize(stream.get()), cudaSuccess);
  EXPECT_EQ(list, "ab");
}

TEST_F(Streams, WaitsAreCounted) {
  const OwnStream stream;
  const Event event;
  const Buffer words(numbers(8));
  const std::uint64_t before = host_synchronisations_of_this_thread();
  const std::uint64_t all = host_synchronisations();
  step(words.get(), 8, 3, stream.get());
  check(cudaMemsetAsync(words.get(), 0, 4, stream.get()));
  check(cudaEventRecord(event.get(), stream.get()));
  check(cudaStreamWaitEvent(stream.get(), event.get()));
  static_cast<void>(cudaEventQuery(event.get()));
  static_cast<void>(cudaStreamQuery(stream.get()));
  EXPECT_EQ(host_synchronisations_of_this_thread(), before);
  check(cudaEventSynchronize(event.get()));
  check(cudaStreamSynchronize(stream.get()));
  check(cudaDeviceSynchronize());
  std::uint32_t on_host = 0;
  check(cudaMemcpy(&on_host, words.get(), 4, cudaMemcpyDeviceToHost));
  check(cudaMemcpyAsync(&on_host, words.get(), 4, cudaMemcpyDeviceToHost, stream.get()));
  EXPECT_EQ(host_synchronisations_of_this_thread(), before + 5);
  EXPECT_EQ(host_synchronisations(), all + 5);
}

TEST_F(Streams, EventsOrderStreams) {
  std::set<std::string> seen;
  for (std::uint64_t seed = 0; seed < schedules; ++seed) {
    set_schedule(seed);
    const OwnStream first, second;
    const Event event;
    const Buffer words(std::vector<std::uint32_t>(4, 0u)),
        others(std::vector<std::uint32_t>(4, 0u));
    check(cudaDeviceSynchronize());
    step(words.get(), 4, 3, first.get());
    check(cudaEventRecord(event.get(), first.get()));
    check(cudaStreamWaitEvent(second.get(), event.get()));
    step(words.get(), 4, 10, second.get());
    check(cudaStreamSynchronize(second.get()));
    std::uint32_t value = 0;
    check(cudaMemcpyAsync(&value, words.get(), 4, cudaMemcpyDeviceToHost, second.get()));
    EXPECT_EQ(value, 40u) << "schedule " << seed;
  }
}

TEST_F(Streams, StreamsWithoutEventsMix) {
  std::set<std::vector<std::uint32_t>> seen;
  for (std::uint64_t seed = 0; seed < 16; ++seed) {
    set_schedule(seed);
    const OwnStream first, second;
    const Buffer words(std::vector<std::uint32_t>(1, 0u));
    for (int i = 0; i < 3; ++i) {
      step(words.get(), 1, 3, first.get());
      step(words.get(), 1, 5, second.get());
    }
    seen.insert(words.values());
  }
  EXPECT_GT(seen.size(), 1u);
}

TEST_F(Streams, TheDefaultStreamWaitsForBlockingOnesAlone) {
  cudaStream_t blocking = nullptr;
  check(cudaStreamCreate(&blocking));
  const OwnStream other;
  std::string list;
  Note a{&list, 'a'}, b{&list, 'b'}, c{&list, 'c'}, d{&list, 'd'};
  note(other.get(), d);
  note(blocking, a);
  note(nullptr, b);
  note(blocking, c);
  check(cudaStreamSynchronize(blocking));
  std::erase(list, 'd');
  EXPECT_EQ(list, "abc");
  check(cudaDeviceSynchronize());
  check(cudaStreamDestroy(blocking));
}

TEST_F(Streams, QueriesMakeProgress) {
  const OwnStream stream;
  const Event event;
  std::string list;
  Note a{&list, 'a'};
  const Buffer words(numbers(4));
  step(words.get(), 4, 1, stream.get());
  note(stream.get(), a);
  check(cudaEventRecord(event.get(), stream.get()));
  EXPECT_EQ(cudaEventQuery(event.get()), cudaErrorNotReady);
  while (cudaEventQuery(event.get()) == cudaErrorNotReady) std::this_thread::yield();
  EXPECT_EQ(list, "a");
  EXPECT_EQ(cudaStreamQuery(stream.get()), cudaSuccess);
  EXPECT_EQ(cudaGetLastError(), cudaErrorNotReady);
}

TEST_F(Streams, ADestroyedStreamFinishes) {
  std::string list;
  Note a{&list, 'a'};
  {
    const OwnStream stream;
    note(stream.get(), a);
  }
  EXPECT_EQ(live().streams, 0u);
  check(cudaDeviceSynchronize());
  EXPECT_EQ(list, "a");
}

/// A host function that waits for those of the other ranks, as a collective's kernel does.
struct Meeting {
  explicit Meeting(std::ptrdiff_t ranks) : barrier(ranks) {}
  std::barrier<> barrier;
  std::atomic<int> met{0};
  static void meet(void* self) {
    static_cast<Meeting*>(self)->barrier.arrive_and_wait();
    ++static_cast<Meeting*>(self)->met;
  }
};

TEST_F(Streams, RankThreadsMeetInHostFunctions) {
  for (const bool one_device : {true, false}) {
    constexpr int ranks = 4, rounds = 25;
    Meeting meeting(ranks);
    std::vector<std::thread> threads;
    for (int rank = 0; rank < ranks; ++rank) {
      threads.emplace_back([&, rank] {
        check(cudaSetDevice(one_device ? 0 : rank));
        const OwnStream stream;
        const Buffer words(numbers(256));
        for (int i = 0; i < rounds; ++i) {
          step(words.get(), 256, 3, stream.get());
          check(cudaLaunchHostFunc(stream.get(), Meeting::meet, &meeting));
          if (i % 3 == rank % 3)
            check(cudaDeviceSynchronize());
          else
            check(cudaStreamSynchronize(stream.get()));
        }
      });
    }
    for (std::thread& thread : threads) thread.join();
    EXPECT_EQ(meeting.met, ranks * rounds);
  }
}

TEST_F(Streams, OneThreadDrivesRanksThatMeet) {
  Meeting meeting(3);
  const OwnStream a, b, c;
  for (int i = 0; i < 5; ++i) {
    for (const OwnStream* each : {&a, &b, &c})
      check(cudaLaunchHostFunc(each->get(), Meeting::meet, &meeting));
    check(cudaStreamSynchronize(b.get()));
  }
  check(cudaDeviceSynchronize());
  EXPECT_EQ(meeting.met, 15);
}

TEST_F(Streams, WorkOfThreadsThatAreGoneMeets) {
  Meeting meeting(2);
  const OwnStream a, b;
  for (const OwnStream* each : {&a, &b})
    std::thread([&] { check(cudaLaunchHostFunc(each->get(), Meeting::meet, &meeting)); }).join();
  check(cudaStreamSynchronize(a.get()));
  check(cudaStreamSynchronize(b.get()));
  EXPECT_EQ(meeting.met, 2);
}

TEST_F(Streams, HostFunctionsMayNotCallCuda) {
  const OwnStream stream;
  cudaError_t found = cudaSuccess;
  check(cudaLaunchHostFunc(
      stream.get(), [](void* code) { *static_cast<cudaError_t*>(code) = cudaDeviceSynchronize(); },
      &found));
  check(cudaStreamSynchronize(stream.get()));
  EXPECT_EQ(found, cudaErrorNotPermitted);
}

TEST_F(Streams, ElapsedTime) {
  const OwnStream stream;
  const Event begin(true), end(true), untimed, unrecorded(true);
  check(cudaEventRecord(begin.get(), stream.get()));
  check(cudaEventRecord(end.get(), stream.get()));
  check(cudaEventRecord(untimed.get(), stream.get()));
  float milliseconds = -1;
  EXPECT_EQ(cudaEventElapsedTime(&milliseconds, begin.get(), end.get()), cudaErrorNotReady);
  check(cudaStreamSynchronize(stream.get()));
  EXPECT_EQ(cudaEventElapsedTime(&milliseconds, begin.get(), end.get()), cudaSuccess);
  EXPECT_GE(milliseconds, 0.0f);
  EXPECT_EQ(cudaEventElapsedTime(&milliseconds, begin.get(), untimed.get()),
            cudaErrorInvalidResourceHandle);
  EXPECT_EQ(cudaEventElapsedTime(&milliseconds, begin.get(), unrecorded.get()),
            cudaErrorInvalidResourceHandle);
}

}  // namespace
}  // namespace simt::test
