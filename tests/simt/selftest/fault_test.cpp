// What kernels do wrong is found, named, and stops the device, as on a GPU.
#include <gtest/gtest.h>

#include <functional>
#include <string>

#include "kernels.hpp"

namespace simt::test {
namespace {

using Words = std::vector<std::string>;

class Faults : public testing::Test {
 protected:
  void SetUp() override { reset(); }
  void TearDown() override {
    set_schedule(1);
    reset();
    EXPECT_EQ(live(), Live{});
  }

  /// The launch succeeds, the wait fails, and the text has these words, under every schedule.
  static void expect(cudaError_t error, const Words& words, const std::function<void()>& enqueue) {
    for (std::uint64_t seed = 0; seed < 8; ++seed) {
      set_schedule(seed);
      reset();
      enqueue();
      EXPECT_EQ(cudaDeviceSynchronize(), error) << "schedule " << seed;
      for (const auto& word : words)
        EXPECT_NE(last_fault().find(word), std::string::npos) << word << " in " << last_fault();
    }
    reset();
  }
};

TEST_F(Faults, StorePastTheEnd) {
  const Buffer out(100);
  expect(cudaErrorIllegalAddress,
         {"kernel tile_one_off, block 1, thread 35: stores 4 bytes at 0x",
          "offset 400 of an allocation of 400 bytes"},
         [&] { tile_one_off(out.get(), 100, nullptr); });
}

TEST_F(Faults, FreedMemory) {
  const Buffer out(32);
  std::uint32_t* gone = nullptr;
  ASSERT_EQ(cudaMalloc(&gone, 128), cudaSuccess);
  ASSERT_EQ(cudaFree(gone), cudaSuccess);
  expect(cudaErrorIllegalAddress, {"kernel load_only", "loads 4 bytes"},
         [&] { load_only(gone, out.get(), nullptr); });
}

TEST_F(Faults, PageableHostMemory) {
  const Buffer out(32);
  const auto on_host = numbers(32);
  expect(cudaErrorIllegalAddress, {"kernel load_only", "loads 4 bytes"},
         [&] { load_only(on_host.data(), out.get(), nullptr); });
}

TEST_F(Faults, MemoryOfAnotherDevice) {
  const Buffer out(32);
  ASSERT_EQ(cudaSetDevice(1), cudaSuccess);
  const Buffer there(numbers(32));
  ASSERT_EQ(cudaSetDevice(0), cudaSuccess);
  expect(cudaErrorIllegalAddress, {"of device 1, running on device 0"},
         [&] { load_only(there.get(), out.get(), nullptr); });
}

TEST_F(Faults, NeverWritten) {
  const Buffer in(33), out(32);
  ASSERT_EQ(cudaMemset(in.get(), 1, 31 * 4 + 3), cudaSuccess);  // all but one byte
  expect(cudaErrorLaunchFailure,
         {"kernel load_only, block 0, thread 31", "which nothing has written: offset 124"},
         [&] { load_only(in.get(), out.get(), nullptr); });
  ASSERT_EQ(cudaMemset(in.get(), 1, 128), cudaSuccess);
  load_only(in.get(), out.get(), nullptr);
  EXPECT_EQ(out.values()[31], 0x01010101u);
}

TEST_F(Faults, CopiesOfUnwrittenBytesAreUnwritten) {
  const Buffer in(32), copy(32), out(32);
  std::vector<std::uint32_t> host(32);
  ASSERT_EQ(cudaMemcpy(copy.get(), in.get(), 128, cudaMemcpyDeviceToDevice), cudaSuccess);
  ASSERT_EQ(cudaMemcpy(host.data(), copy.get(), 128, cudaMemcpyDeviceToHost), cudaSuccess);
  EXPECT_FALSE(written(copy.get(), 128));
  expect(cudaErrorLaunchFailure, {"which nothing has written"},
         [&] { load_only(copy.get(), out.get(), nullptr); });
}

TEST_F(Faults, MisalignedVector) {
  const Buffer in(numbers(8)), out(1);
  expect(cudaErrorMisalignedAddress, {"kernel load_vector", "loads 16 bytes"},
         [&] { load_vector(in.get() + 1, out.get(), nullptr); });
}

TEST_F(Faults, DivergentBarrier) {
  expect(cudaErrorLaunchFailure, {"kernel half_at_barrier", "barrier divergence", "__syncthreads"},
         [] { half_at_barrier(true, nullptr); });
  EXPECT_EQ(guards_alive(), 0);
}

TEST_F(Faults, ThreadsThatWaitAreUnwound) {
  expect(cudaErrorLaunchFailure, {"kernel half_at_barrier"},
         [] { half_at_barrier(false, nullptr); });
  EXPECT_EQ(guards_alive(), 0);
}

TEST_F(Faults, DivergentWarp) {
  const std::pair<Elsewhere, const char*> all[] = {{Elsewhere::end, "ballot"},
                                                   {Elsewhere::barrier, "__syncthreads"},
                                                   {Elsewhere::shuffle, "shuffle"},
                                                   {Elsewhere::warp_barrier, "warp_barrier"}};
  for (const auto& [other, name] : all) {
    expect(cudaErrorLaunchFailure,
           {"kernel half_at_ballot, block 0", "divergence", "of warp 0 thread", name},
           [other = other] { half_at_ballot(other, nullptr); });
  }
}

TEST_F(Faults, GridBarrierOfSomeBlocks) {
  const Buffer arrived(std::vector<std::uint32_t>{0});
  expect(cudaErrorLaunchFailure, {"kernel grid_barrier_of_some: deadlock", "at grid_barrier"},
         [&] { grid_barrier_of_some(arrived.get(), nullptr); });
  expect(cudaErrorLaunchFailure, {"not launched as cooperative"},
         [&] { grid_barrier_uncooperative(arrived.get(), nullptr); });
}

TEST_F(Faults, OddBlocksExceptionsAndSharedMemory) {
  expect(cudaErrorLaunchFailure, {"kernel odd_block: 33 threads"}, [] { odd_block(nullptr); });
  expect(cudaErrorLaunchFailure, {"kernel throws", "thrown on purpose"}, [] { throws(nullptr); });
  expect(cudaErrorLaunchFailure, {"uses 1024 bytes of shared memory and was launched with 0"},
         [] { wrong_shared(nullptr); });
}

TEST_F(Faults, AreSticky) {
  const Buffer out(32);
  throws(nullptr);
  EXPECT_EQ(cudaGetLastError(), cudaSuccess);  // it has not run
  EXPECT_EQ(cudaDeviceSynchronize(), cudaErrorLaunchFailure);
  EXPECT_EQ(cudaGetLastError(), cudaErrorLaunchFailure);
  EXPECT_EQ(cudaGetLastError(), cudaErrorLaunchFailure);
  void* none = nullptr;
  EXPECT_EQ(cudaMalloc(&none, 4), cudaErrorLaunchFailure);
  EXPECT_THROW(step(out.get(), 1, 1, nullptr), sparccl::Error);
  ASSERT_EQ(cudaSetDevice(1), cudaSuccess);  // its context is another one
  EXPECT_EQ(cudaDeviceSynchronize(), cudaSuccess);
  ASSERT_EQ(cudaSetDevice(0), cudaSuccess);
}

TEST_F(Faults, LaunchesThatCannotBe) {
  EXPECT_THROW(too_many_threads(nullptr), sparccl::Error);
  try {
    too_many_cooperative(nullptr);
    FAIL();
  } catch (const sparccl::Error& error) {
    EXPECT_NE(std::string(error.what()).find("kernel too_many_cooperative: too many blocks"),
              std::string::npos)
        << error.what();
  }
  EXPECT_EQ(cudaDeviceSynchronize(), cudaSuccess);  // these are not sticky
  EXPECT_EQ(cudaGetLastError(), cudaSuccess);       // and the check took them away
}

}  // namespace
}  // namespace simt::test
