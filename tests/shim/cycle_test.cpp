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

TEST(Cycle, BelievesWhatIsSentBeforeWhatIsReceivedTo) {
  Cycle cycle;
  observe(cycle, "AAAAAAAAAAAA", 2, 1);  // two tensors, received to one place
  EXPECT_EQ(cycle.length_with_kept_buffers(), 2u);
}

TEST(Cycle, TakesWhatIsReceivedToWhereCopiesAreSent) {
  Cycle cycle;
  observe(cycle, "AAAAAAAAAAAA", 0, 2);
  EXPECT_EQ(cycle.length_with_kept_buffers(), 2u);
}

TEST(Cycle, DoesNotTakeAnAllocatorsHabitForTensors) {
  Cycle cycle;
  observe(cycle, "A", 0, 1);  // the first copy lies elsewhere
  observe(cycle, "AAAAAAAAAAAA", 3, 1);
  EXPECT_EQ(cycle.length_with_kept_buffers(), 1u);
}

TEST(Cycle, SeesBuffersThatHaveSettled) {
  Cycle cycle;
  observe(cycle, "AAAA", 0, 0);
  for (int i = 0; i < 14; ++i) observe(cycle, "AA", 2, 0);
  EXPECT_EQ(cycle.length_with_kept_buffers(), 0u);
  EXPECT_EQ(cycle.length_with_settled_buffers(), 2u);
}

TEST(Cycle, DoesNotSeeHabitsSettle) {
  Cycle cycle;
  observe(cycle, "A", 0, 0);
  for (int i = 0; i < 5; ++i) observe(cycle, "AAAAAAAAAAAA", 12, 0);
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
