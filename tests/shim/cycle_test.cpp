#include "shim/cycle.hpp"

#include <gtest/gtest.h>

#include <string_view>

namespace sparccl::shim {
namespace {

const char memory[4096] = {};

/// A letter a call: its key. Buffers are sent from `sent` places in turn, received to `received`;
/// 0: to another each time.
void observe(Cycle& cycle, std::string_view letters, std::size_t sent = 1,
             std::size_t received = 1) {
  for (std::size_t i = 0; i < letters.size(); ++i) {
    const auto count = static_cast<std::uint64_t>(letters[i]);
    const auto place = [&](std::size_t places) {
      return memory + (places == 0 ? cycle.calls() : i % places);
    };
    cycle.observe({count, DataType::float32, Reduction::sum}, place(sent), place(received));
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
  EXPECT_EQ(cycle.length_with_kept_buffers(), 3u);
}

TEST(Cycle, BelievesTheSlowerOfBothBuffers) {
  Cycle one;
  observe(one, "AAAAAAAAAAAA", 2, 1);  // two tensors, received to one place
  EXPECT_EQ(one.length_with_kept_buffers(), 2u);
  Cycle other;
  observe(other, "AAAAAAAAAAAA", 1, 2);  // two tensors, copied to one place
  EXPECT_EQ(other.length_with_kept_buffers(), 2u);
  Cycle both;
  observe(both, "AAAAAAAAAAAA", 2, 3);
  EXPECT_EQ(both.length_with_kept_buffers(), 6u);
}

TEST(Cycle, TellsNothingWhereOneNeverComesBack) {
  Cycle one, other;
  for (int i = 0; i < 10; ++i) {
    observe(one, "AAAAAAAAAAAA", 0, 1);
    observe(other, "AAAAAAAAAAAA", 1, 0);
  }
  for (const Cycle& cycle : {one, other}) {
    EXPECT_EQ(cycle.length_with_kept_buffers(), 0u);
    EXPECT_EQ(cycle.length_with_settled_buffers(), 0u);
  }
}

TEST(Cycle, SeesBuffersThatHaveSettled) {
  Cycle cycle;
  observe(cycle, "AAAA", 0, 0);
  for (int i = 0; i < 14; ++i) observe(cycle, "AA", 2, 2);
  EXPECT_EQ(cycle.length_with_kept_buffers(), 0u);
  EXPECT_EQ(cycle.length_with_settled_buffers(), 2u);
}

TEST(Cycle, DoesNotSeeHabitsSettle) {
  Cycle cycle;
  observe(cycle, "A", 0, 0);  // the first lies elsewhere
  for (int i = 0; i < 5; ++i) observe(cycle, "AAAAAAAAAAAA", 12, 12);
  EXPECT_EQ(cycle.length_with_settled_buffers(), 0u);
}

TEST(Cycle, SeesBuffersComeBackTwice) {
  Cycle cycle;
  observe(cycle, "AAAAAAAAAAAA", 7, 0);  // twelve calls are less than two rounds of seven
  EXPECT_EQ(cycle.length_with_kept_buffers(), 0u);
  EXPECT_EQ(cycle.length_with_settled_buffers(), 0u);
}

TEST(Cycle, RunsForEver) {
  Cycle cycle;
  for (int i = 0; i < 3 * static_cast<int>(Cycle::longest); ++i) observe(cycle, "ABCDE", 5, 5);
  EXPECT_EQ(cycle.length(), 5u);
  EXPECT_EQ(cycle.length_with_kept_buffers(), 5u);
  EXPECT_EQ(cycle.calls(), 15 * Cycle::longest);
}

}  // namespace
}  // namespace sparccl::shim
