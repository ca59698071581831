// Right kernels are right under every schedule, wrong ones are not.
#include <gtest/gtest.h>

#include <algorithm>
#include <numeric>
#include <set>

#include "kernels.hpp"

namespace simt::test {
namespace {

class Schedule : public testing::Test {
 protected:
  void SetUp() override { reset(); }
  void TearDown() override {
    set_schedule(1);
    reset();
    EXPECT_EQ(live(), Live{});
  }
};

TEST_F(Schedule, BlockSumsAreRight) {
  const std::size_t blocks = 37;
  const auto in = numbers(blocks * 256);
  for (std::uint64_t seed = 0; seed < schedules; ++seed) {
    set_schedule(seed);
    const Buffer device(in), sums(blocks);
    block_sums(device.get(), sums.get(), blocks, nullptr);
    const auto found = sums.values();
    for (std::size_t b = 0; b < blocks; ++b) {
      const auto first = in.begin() + static_cast<std::ptrdiff_t>(b * 256);
      ASSERT_EQ(found[b], std::accumulate(first, first + 256, 0u)) << "schedule " << seed;
    }
  }
}

TEST_F(Schedule, CooperativeHistogramIsRight) {
  const auto in = numbers(5000, 64);
  std::vector<std::uint32_t> expected(65);
  for (const auto value : in) ++expected[value];
  expected[64] = *std::max_element(expected.begin(), expected.end());
  for (std::uint64_t seed = 0; seed < schedules; ++seed) {
    set_schedule(seed);
    const Buffer device(in), arrived(1);
    ASSERT_EQ(cudaMemset(arrived.get(), 0, 4), cudaSuccess);
    for (const std::size_t blocks : {histogram_blocks(), std::size_t{1}, std::size_t{3}}) {
      const Buffer bins(65);  // the barrier's word is never reset
      ASSERT_EQ(cudaMemset(bins.get(), 0, 65 * 4), cudaSuccess);
      histogram(device.get(), in.size(), bins.get(), arrived.get(), blocks, nullptr);
      ASSERT_EQ(bins.values(), expected) << "schedule " << seed;
    }
    EXPECT_EQ(arrived.values()[0], 0x80000000u);
  }
}

TEST_F(Schedule, WarpFunctionsAreCudas) {
  for (std::uint64_t seed = 0; seed < schedules; ++seed) {
    set_schedule(seed);
    const Buffer out(64 * 9);
    warp_functions(out.get(), nullptr);
    const auto found = out.values();
    for (std::uint32_t i = 0; i < 64; ++i) {
      const std::uint32_t lane = i % 32, base = i - lane;
      std::uint32_t thirds = 0;
      for (std::uint32_t j = 0; j < 32; ++j) thirds |= ((base + j) % 3 == 0 ? 1u : 0u) << j;
      const std::uint32_t* const mine = &found[i * 9];
      EXPECT_EQ(mine[0], base == 0 ? 1u : 0u);
      EXPECT_EQ(mine[1], thirds);
      EXPECT_EQ(mine[2], (base + (lane + 5) % 32) * 10);
      EXPECT_EQ(mine[3], (lane < 4 ? i : i - 4) * 10);
      EXPECT_EQ(mine[4], (base + (lane ^ 6u)) * 10);
      EXPECT_EQ(mine[6], (base + 2) * 10);
      EXPECT_EQ(mine[7], 4u + 7u);
      EXPECT_EQ(mine[8], lane + 100 * (i / 32) + 2000);
    }
  }
}

TEST_F(Schedule, VectorsAndBytesMoveWhole) {
  const auto in = numbers(8);
  const Buffer from(in), to(8);
  copy_both_ways(from.get(), to.get(), nullptr);
  EXPECT_EQ(to.values(), in);
}

TEST_F(Schedule, AtomicsAreOneAtATimeAndTheFirstVaries) {
  std::set<std::uint32_t> firsts;
  for (std::uint64_t seed = 0; seed < schedules; ++seed) {
    set_schedule(seed);
    const Buffer words(std::vector<std::uint32_t>{0, 0, 9, 0});
    atomics(words.get(), reinterpret_cast<std::uint64_t*>(words.get() + 2), words.get() + 1,
            nullptr);
    const auto found = words.values();
    firsts.insert(found[0]);
    if (seed == 0) {
      EXPECT_EQ(found[0], 1u);
    }
    EXPECT_EQ(found[1], 0xffffffffu);
    EXPECT_EQ(found[2], 7u);
  }
  EXPECT_GE(firsts.size(), schedules / 2);
}

TEST_F(Schedule, SameSeedSameOrder) {
  const auto first_of = [](std::uint64_t seed) {
    set_schedule(seed);
    const Buffer words(std::vector<std::uint32_t>{0, 0, 9, 0});
    atomics(words.get(), reinterpret_cast<std::uint64_t*>(words.get() + 2), words.get() + 1,
            nullptr);
    return words.values()[0];
  };
  for (std::uint64_t seed = 0; seed < schedules; ++seed)
    EXPECT_EQ(first_of(seed), first_of(seed)) << seed;
}

/// How many of 8 schedules give the right sum.
template <class Kernel>
int right_of_eight(const Kernel& kernel, const std::vector<std::uint32_t>& expected) {
  int right = 0;
  for (std::uint64_t seed = 1; seed <= 8; ++seed) {
    set_schedule(seed);
    const Buffer in(numbers(256)), out(256);
    EXPECT_EQ(cudaMemset(out.get(), 0, 256 * 4), cudaSuccess);
    kernel(in.get(), out.get());
    right += out.values() == expected ? 1 : 0;
  }
  return right;
}

TEST_F(Schedule, MissingBarrierIsCaught) {
  auto expected = numbers(256);
  std::rotate(expected.begin(), expected.end() - 1, expected.end());
  EXPECT_LT(
      right_of_eight([](auto* in, auto* out) { pass_right_without_barrier(in, out, nullptr); },
                     expected),
      8);
}

TEST_F(Schedule, MissingWarpBarrierIsCaught) {
  auto expected = numbers(256);
  for (auto first = expected.begin(); first != expected.end(); first += 32)
    std::rotate(first, first + 31, first + 32);
  EXPECT_LT(right_of_eight(
                [](auto* in, auto* out) { pass_right_in_warp_without_barrier(in, out, nullptr); },
                expected),
            8);
}

TEST_F(Schedule, UnsetSharedMemoryIsCaught) {
  std::set<std::uint32_t> sums;
  for (std::uint64_t seed = 0; seed < 8; ++seed) {
    set_schedule(seed);
    const Buffer out(1);
    sum_into_unset_shared(out.get(), nullptr);
    sums.insert(out.values()[0]);
  }
  EXPECT_GT(sums.size(), 4u);
  EXPECT_EQ(sums.count(64), 0u);
}

TEST_F(Schedule, TrafficIsCounted) {
  const Buffer words(numbers(130));
  reset_traffic();
  step(words.get(), 130, 2, nullptr);
  step(words.get(), 130, 2, nullptr);
  ASSERT_EQ(cudaDeviceSynchronize(), cudaSuccess);
  const Traffic found = traffic("step");
  EXPECT_EQ(found.launches, 2u);
  EXPECT_EQ(found.loads, 260u);
  EXPECT_EQ(found.loaded_bytes, 1040u);
  EXPECT_EQ(found.stores, 260u);
  EXPECT_EQ(found.stored_bytes, 1040u);
  EXPECT_EQ(found.atomics, 0u);
  EXPECT_EQ(all_traffic().size(), 1u);
  EXPECT_EQ(traffic("never launched").launches, 0u);
}

}  // namespace
}  // namespace simt::test
