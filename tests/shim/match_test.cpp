#include "shim/match.hpp"

#include <gtest/gtest.h>

#include <stdexcept>

namespace sparccl::shim {
namespace {

TEST(Match, AutoAdmitsAll) {
  const Match match = parse_match("auto");
  EXPECT_TRUE(match.admits_count(1));
  EXPECT_TRUE(match.admits_call(0));
  EXPECT_EQ(match.calls_per_step, 0u);
}

TEST(Match, AdmitsCounts) {
  const Match match = parse_match("count:10,count:20-30,count:100-");
  for (const std::uint64_t count : {10, 20, 25, 30, 100, 1'000'000}) {
    EXPECT_TRUE(match.admits_count(count)) << count;
  }
  for (const std::uint64_t count : {9, 11, 19, 31, 99}) EXPECT_FALSE(match.admits_count(count));
  EXPECT_TRUE(match.admits_call(0));
}

TEST(Match, AdmitsCallsOfTheProgram) {
  const Match match = parse_match("calls:3-");
  EXPECT_FALSE(match.admits_call(2));
  EXPECT_TRUE(match.admits_call(3));
  EXPECT_TRUE(match.admits_call(1'000'000));
}

TEST(Match, AdmitsCallsOfAStep) {
  const Match match = parse_match("calls:0-1/5,calls:4-/5");
  EXPECT_EQ(match.calls_per_step, 5u);
  for (const std::uint64_t call : {0, 1, 4, 5, 6, 9, 14}) EXPECT_TRUE(match.admits_call(call));
  for (const std::uint64_t call : {2, 3, 7, 8, 13}) EXPECT_FALSE(match.admits_call(call)) << call;
}

TEST(Match, RefusesAnythingElse) {
  for (const char* const text :
       {"", "all", "count", "count:", "count:x", "count:5-2", "count:-5", "count:1,", "calls:0/0",
        "calls:0-/1000001", "calls:3/3", "calls:0-5/5", "calls:0/2,calls:1/3", "calls:0/2,calls:1",
        "auto,count:1", "count:1 ", "count:99999999999999999999", "calls:1-2-3"}) {
    EXPECT_THROW(static_cast<void>(parse_match(text)), std::invalid_argument) << text;
  }
}

}  // namespace
}  // namespace sparccl::shim
