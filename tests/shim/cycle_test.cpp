#include "shim/cycle.hpp"

#include <gtest/gtest.h>

#include <string_view>

namespace sparccl::shim {
namespace {

/// A letter a call: its key; its buffer is the letter's, or one of `buffers` in turn.
void observe(Cycle& cycle, std::string_view letters, std::size_t buffers = 1) {
  static const char memory[64] = {};
  for (std::size_t i = 0; i < letters.size(); ++i) {
    const auto count = static_cast<std::uint64_t>(letters[i]);
    cycle.observe({count, DataType::float32, Reduction::sum}, memory + i % buffers);
  }
}

std::size_t length_after(std::string_view letters) {
  Cycle cycle;
  observe(cycle, letters);
  return cycle.length();
}

TEST(Cycle, NeedsRepetitionsAndCalls) {
  EXPECT_EQ(length_after("AAAAAAAAAAA"), 0u);  // eleven calls
  EXPECT_EQ(length_after("AAAAAAAAAAAA"), 1u);
  EXPECT_EQ(length_after("ABCDEFGHABCDEFGH"), 0u);  // two repetitions
  EXPECT_EQ(length_after("ABCDEFGHABCDEFGHABCDEFGH"), 8u);
}

TEST(Cycle, IsTheShortest) {
  EXPECT_EQ(length_after("ABABABABABAB"), 2u);
  EXPECT_EQ(length_after("AABAABAABAAB"), 3u);
}

TEST(Cycle, ForgetsWhatCameBefore) {
  EXPECT_EQ(length_after("XYABCABCABCABC"), 3u);
  EXPECT_EQ(length_after("ABCABCABCABCX"), 0u);
}

TEST(Cycle, TellsEqualTensorsApartByTheirBuffers) {
  Cycle cycle;
  observe(cycle, "AAAAAAAAAAAA", 3);
  EXPECT_EQ(cycle.length(), 1u);
  EXPECT_EQ(cycle.length_with_buffers(), 3u);
}

TEST(Cycle, SeesBuffersRepeatTwice) {
  Cycle cycle;
  observe(cycle, "AAAAAAAAAAAA", 7);  // twelve calls are less than two rounds of seven
  EXPECT_EQ(cycle.length_with_buffers(), 0u);
  observe(cycle, "AA", 7);
  EXPECT_EQ(cycle.length_with_buffers(), 0u);  // they do not go on where they stopped
}

TEST(Cycle, RunsForEver) {
  Cycle cycle;
  for (int i = 0; i < 3 * static_cast<int>(Cycle::longest); ++i) observe(cycle, "ABCDE", 5);
  EXPECT_EQ(cycle.length(), 5u);
  EXPECT_EQ(cycle.length_with_buffers(), 5u);
  EXPECT_EQ(cycle.calls(), 15 * Cycle::longest);
}

}  // namespace
}  // namespace sparccl::shim
