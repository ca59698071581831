#include "shim/tally.hpp"

#include <gtest/gtest.h>

namespace sparccl::shim {
namespace {

TensorTally tensor(std::uint64_t steps) {
  TensorTally tally{"allreduce 0 of 1", {1000, DataType::float32, Reduction::sum}, 10, {}};
  tally.stats.steps = steps;
  tally.stats.wire_bytes = 188 * steps;
  tally.stats.dense_bytes = 4000 * steps;
  tally.stats.seconds.exchange = 0.002 * static_cast<double>(steps);
  return tally;
}

TEST(Tally, CountsEachCallOnce) {
  Tally tally;
  const std::uint64_t communicator = tally.add_communicator();
  tally.passed(Reason::small, 8);
  tally.passed(Reason::small, 8);
  tally.passed(Reason::learning, 4000);
  tally.failed();
  tally.sparsified(communicator, 0, tensor(1));
  tally.sparsified(communicator, 0, tensor(5));  // as it stands now
  EXPECT_EQ(tally.calls(), 9u);
  tally.ended(communicator, 0);
  EXPECT_EQ(tally.calls(), 9u);
}

TEST(Tally, CountsTensorsThatHaveEnded) {
  Tally tally;
  for (std::uint64_t i = 0; i < 100; ++i) {
    tally.sparsified(0, i, tensor(3));
    tally.ended(0, i);
  }
  EXPECT_EQ(tally.calls(), 300u);
}

TEST(Tally, TellsBytesReasonsAndTimes) {
  Tally tally;
  tally.passed(Reason::small, 16);
  tally.sparsified(0, 0, tensor(1000));
  const std::string table = tally.table("rank 0 of 2");
  for (const char* const words :
       {"sparccl: rank 0 of 2", "sparsified", "1,000", "188,000", "4,000,000",
        "passed: fewer than SPARCCL_MIN_COUNT entries", "exchange 2.000",
        "communicator 0, allreduce 0 of 1: 1000 float32 sum, k 10, 1,000 calls", "1,001"}) {
    EXPECT_NE(table.find(words), std::string::npos) << words << "\n" << table;
  }
}

TEST(Tally, SaysWhenNothingWasSparsified) {
  Tally tally;
  tally.passed(Reason::disabled, 16);
  const std::string table = tally.table("rank 0 of 2");
  EXPECT_NE(table.find("no call was sparsified"), std::string::npos);
  EXPECT_NE(table.find("SPARCCL_DISABLE"), std::string::npos);
}

TEST(Tally, CountsTheBytesOfARing) {
  EXPECT_EQ(ring_bytes(1000, 1), 0u);
  EXPECT_EQ(ring_bytes(1000, 4), 1500u);
  EXPECT_EQ(ring_bytes(1'000'000'000'000'000'000, 64), 1'968'750'000'000'000'000u);
}

}  // namespace
}  // namespace sparccl::shim
