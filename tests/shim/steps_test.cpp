#include "shim/steps.hpp"

#include <gtest/gtest.h>

#include <string>
#include <string_view>

namespace sparccl::shim {
namespace {

Key key_of(char letter) {
  return {static_cast<std::uint64_t>(letter), DataType::float32, Reduction::sum};
}

/// One rank that is alone, or whose peers answer as told. A letter a call.
class Calls {
 public:
  explicit Calls(std::vector<std::uint64_t> peers = {})
      : steps_([this, peers](std::uint64_t own) {
          ++exchanges_;
          std::vector<std::uint64_t> all = peers;
          all.push_back(own);
          return all;
        }) {}

  /// What became of each: its slot as a digit, '.' while learning, '-' outside of the step.
  std::string operator()(std::string_view letters, std::size_t buffers = 1) {
    std::string places;
    for (std::size_t i = 0; i < letters.size(); ++i) {
      Request request;
      request.key = key_of(letters[i]);
      request.send = request.recv = memory_ + i % buffers;
      const Steps::Place place = steps_.place(request);
      if (place.slot != Steps::no_slot) {
        places += static_cast<char>('0' + place.slot);
      } else {
        places += place.reason == Reason::learning ? '.' : '-';
      }
    }
    return places;
  }
  Steps& steps() { return steps_; }
  [[nodiscard]] int exchanges() const { return exchanges_; }

 private:
  char memory_[64] = {};
  int exchanges_ = 0;
  Steps steps_;
};

constexpr auto none = Steps::no_slot;

std::string times(int n, std::string_view letters) {
  std::string all;
  for (int i = 0; i < n; ++i) all += letters;
  return all;
}

TEST(Steps, AreLearned) {
  Calls calls;
  EXPECT_EQ(calls("ABCABCABCABC"), "............");
  EXPECT_EQ(calls("ABCABC"), "012012");
  EXPECT_EQ(calls.exchanges(), 1);
}

TEST(Steps, OfOneCall) {
  Calls calls;
  EXPECT_EQ(calls("AAAAAAAAAAAAAAA"), "............000");
}

TEST(Steps, HaveAsManyTensorsAsThereAreBuffers) {
  Calls calls;
  EXPECT_EQ(calls("AAAAAAAAAAAA", 2), "............");
  EXPECT_EQ(calls.steps().take_change().repetitions, 2u);
  EXPECT_EQ(calls("AAAA", 2), "0101");
}

TEST(Steps, AreAsLongAsTheRankThatSeesMost) {
  Calls calls({4});  // buffers of the other rank repeat after four calls
  EXPECT_EQ(calls("AAAAAAAAAAAA", 2), "............");
  EXPECT_EQ(calls("AAAA", 2), "0123");
  Calls others({3});  // three and two: six
  EXPECT_EQ(others("AAAAAAAAAAAA", 2), "............");
  EXPECT_EQ(others("AAAAAA", 2), "012345");
}

TEST(Steps, AreNotLearnedWhereBuffersNeverComeBack) {
  Calls calls({0});
  const std::string places = calls(times(63, "A"));
  EXPECT_FALSE(calls.steps().take_puzzled());
  EXPECT_EQ(calls("A"), ".");
  EXPECT_TRUE(calls.steps().take_puzzled());  // that is said, once
  EXPECT_FALSE(calls.steps().take_puzzled());
  EXPECT_EQ(calls(times(20'000, "A")).find('0'), std::string::npos);
  EXPECT_FALSE(calls.steps().take_puzzled());
  EXPECT_LE(calls.exchanges(), 24);
}

TEST(Steps, MayBeAsLongAsTheySay) {
  Calls calls;
  Request request;
  std::size_t slot = none;
  for (std::size_t call = 0; call < 3 * Cycle::longest + 8; ++call) {
    request.key = {call % Cycle::longest + 1, DataType::float32, Reduction::sum};
    slot = calls.steps().place(request).slot;
    ASSERT_EQ(slot == none, call < 3 * Cycle::longest) << call;
  }
  EXPECT_EQ(slot, 7u);
}

TEST(Steps, SeeThatTheOrderIsBroken) {
  Calls calls;
  EXPECT_EQ(calls("AAAAAAAAAAAA", 2), "............");
  EXPECT_EQ(calls("AAAA", 2), "0101");
  EXPECT_TRUE(calls.steps().must_be_watched());
  EXPECT_FALSE(calls.steps().is_shifted());
  EXPECT_EQ(calls("A", 2), "0");  // once more than it should
  EXPECT_FALSE(calls.steps().is_shifted());
  EXPECT_EQ(calls("AA", 2), "10");  // the buffers of 0 and 1
  EXPECT_TRUE(calls.steps().is_shifted());
  calls.steps().begin_anew();
  EXPECT_EQ(calls(times(100, "A"), 2).find('0'), std::string::npos);  // not by buffers again
  EXPECT_EQ(calls("BABABABAB", 2), ".....0101");                      // but by keys
}

TEST(Steps, OfKeysThatStandOnceNeedNoWatch) {
  Calls calls;
  static_cast<void>(calls(times(5, "ABC")));
  EXPECT_FALSE(calls.steps().must_be_watched());
}

TEST(Steps, ThatNeverRepeatAreNotLearned) {
  Calls calls;
  std::string letters;
  for (int i = 0; i < 200; ++i) letters += static_cast<char>((i * i * i + 3 * i) % 127);
  EXPECT_EQ(calls(letters).find_first_not_of('.'), std::string::npos);
  EXPECT_EQ(calls.exchanges(), 0);
}

TEST(Steps, GoOnWhereOneWasCutShort) {
  Calls calls;
  static_cast<void>(calls(times(4, "ABC")));
  EXPECT_EQ(calls("ABCABABC"), "01201012");
}

TEST(Steps, LeaveStrangersAlone) {
  Calls calls;
  static_cast<void>(calls(times(4, "ABC") + times(30, "ABC")));  // not young any more
  EXPECT_EQ(calls("ABXCABC"), "01-2012");
}

TEST(Steps, AreLearnedAnewWhenStrangersComeEarly) {
  Calls calls;
  EXPECT_EQ(calls("AAAAAAAAAAAAAA"), "............00");  // the first layers of a longer step
  EXPECT_EQ(calls("B"), ".");
  EXPECT_EQ(calls(times(3, "AAAB")), "............");
  EXPECT_EQ(calls("AAAB"), "0123");
}

TEST(Steps, AreLearnedAnewWhenNothingElseComes) {
  Calls calls;
  static_cast<void>(calls(times(40, "ABC")));
  const std::string places = calls(times(20, "DE"));
  EXPECT_EQ(places.substr(0, 7), "-------");
  EXPECT_EQ(places.substr(places.size() - 4), "0101");
}

TEST(Steps, KeepTensorsThatCanBeTold) {
  Calls calls;
  static_cast<void>(calls(times(4, "ABBC")));
  static_cast<void>(calls.steps().take_change());
  static_cast<void>(
      calls("ABB"
            "BB"));  // a B too many: lost, for there are two of them
  EXPECT_TRUE(calls.steps().keys().empty());
  EXPECT_EQ(calls(times(3, "ABBC")).find_first_not_of('.'), std::string::npos);
  ASSERT_TRUE(calls.steps().changed());
  const Steps::Change change = calls.steps().take_change();
  EXPECT_EQ(change.from, (std::vector<std::size_t>{0, 1, 2, 3}));
  EXPECT_EQ(change.lost, 0u);
}

std::vector<Key> keys(std::string_view letters) {
  std::vector<Key> all;
  for (const char letter : letters) all.push_back(key_of(letter));
  return all;
}

TEST(RepeatsInside, TellsStepsThatMayBeginAnywhere) {
  EXPECT_TRUE(repeats_inside(keys("AA")));
  EXPECT_TRUE(repeats_inside(keys("ABAB")));
  EXPECT_FALSE(repeats_inside(keys("A")));
  EXPECT_FALSE(repeats_inside(keys("AAB")));
}

TEST(CarryOver, FollowsARotation) {
  EXPECT_EQ(carry_over(keys("AABB"), 4, keys("ABBA")), (std::vector<std::size_t>{1, 2, 3, 0}));
}

TEST(CarryOver, DoesNotGuessWithinRepetitions) {
  EXPECT_EQ(carry_over(keys("AA"), 1, keys("AA")), (std::vector<std::size_t>{none, none}));
}

TEST(CarryOver, FollowsKeysThatStandOnce) {
  EXPECT_EQ(carry_over(keys("ABBC"), 4, keys("CADBB")),
            (std::vector<std::size_t>{3, 0, none, none, none}));
}

TEST(CarryOver, HasNothingToFollowAtFirst) {
  EXPECT_EQ(carry_over({}, 0, keys("AB")), (std::vector<std::size_t>{none, none}));
}

}  // namespace
}  // namespace sparccl::shim
