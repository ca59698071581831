// What calls of the NCCL transport are tested with.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdint>
#include <numeric>
#include <vector>

#include "ranks.hpp"
#include "simt.hpp"

namespace sparccl::test {

/// Every test leaves nothing behind, and does nothing that NCCL would not survive.
class NcclCalls : public testing::Test {
 protected:
  void SetUp() override {
    fakeNcclReset();
    before_ = simt::live();
  }
  void TearDown() override {
    EXPECT_STREQ("", fakeNcclMisuse());
    EXPECT_EQ(0u, fakeNcclLive());
    EXPECT_EQ(before_, simt::live());
  }

 private:
  simt::Live before_;
};

/// What rank `rank` sends in call `call`.
inline std::vector<std::uint32_t> sent(int rank, int call, std::size_t count) {
  std::vector<std::uint32_t> values(count);
  std::iota(values.begin(), values.end(),
            static_cast<std::uint32_t>(1'000'000 * call + 10'000 * (rank + 1)));
  return values;
}

/// Slots of which a rank has filled its own.
inline std::vector<std::uint32_t> slots_before(int ranks, int rank, int call, std::size_t count) {
  std::vector<std::uint32_t> slots(static_cast<std::size_t>(ranks) * count, 7);
  const auto own = sent(rank, call, count);
  std::copy(own.begin(), own.end(),
            slots.begin() + static_cast<std::ptrdiff_t>(static_cast<std::size_t>(rank) * count));
  return slots;
}

inline std::vector<std::uint32_t> slots_after(int ranks, int call, std::size_t count) {
  std::vector<std::uint32_t> slots;
  for (int rank = 0; rank < ranks; ++rank) {
    const auto values = sent(rank, call, count);
    slots.insert(slots.end(), values.begin(), values.end());
  }
  return slots;
}

}  // namespace sparccl::test
