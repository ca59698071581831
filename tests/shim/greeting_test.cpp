#include "shim/greeting.hpp"

#include <gtest/gtest.h>

#include <sparccl/types.hpp>

namespace sparccl::shim {
namespace {

std::vector<std::byte> packed(const std::vector<Greeting>& greetings) {
  std::vector<std::byte> all;
  for (const Greeting& greeting : greetings) {
    const std::vector<std::byte> one = greeting.packed();
    all.insert(all.end(), one.begin(), one.end());
  }
  return all;
}

std::string refusal(std::span<const std::byte> bytes, Result code) {
  try {
    require_agreement(bytes);
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), code);
    return error.what();
  }
  return "";
}

const Greeting usual{{{"SPARCCL_DENSITY", "0.001"}, {"SPARCCL_STATE_DIR", ""}}, ""};

TEST(Greeting, ComesBackAsItWas) {
  const Greeting greeting{{{"A", "1"}, {"B", ""}, {"C", "x=y"}}, "a problem\nin two lines"};
  const Greeting back = Greeting::unpacked(greeting.packed());
  EXPECT_EQ(back.settings, greeting.settings);
  EXPECT_EQ(back.problem, greeting.problem);
}

TEST(Greeting, OfEqualRanksIsAgreed) {
  EXPECT_NO_THROW(require_agreement(packed({usual, usual, usual})));
}

TEST(Greeting, NamesVariableRanksAndValues) {
  Greeting other = usual;
  other.settings[0].second = "0.01";
  const std::string words = refusal(packed({usual, usual, other}), Result::mismatch);
  EXPECT_EQ(words,
            "the ranks' environments differ: rank 0 has SPARCCL_DENSITY = \"0.001\", rank 2 has "
            "SPARCCL_DENSITY = \"0.01\"");
}

TEST(Greeting, SaysWhereNothingIsSet) {
  Greeting other = usual;
  other.settings[1].second = "set";
  EXPECT_NE(refusal(packed({usual, other}), Result::mismatch)
                .find("rank 0 has SPARCCL_STATE_DIR = "
                      "nothing, rank 1"),
            std::string::npos);
}

TEST(Greeting, NamesTheRankWithAProblem) {
  Greeting other = usual;
  other.problem = "no disk";
  EXPECT_EQ(refusal(packed({usual, other}), Result::invalid_usage), "rank 1: no disk");
}

TEST(Greeting, OfAnotherVersionIsRefused) {
  std::vector<std::byte> bytes = packed({usual, usual});
  bytes[Greeting::bytes] = std::byte{'X'};
  EXPECT_NE(refusal(bytes, Result::mismatch).find("rank 1 has another version"), std::string::npos);
}

TEST(Greeting, SurvivesAnyBytes) {
  std::vector<std::byte> bytes(Greeting::bytes, std::byte{'='});
  EXPECT_TRUE(Greeting::unpacked(bytes).settings.empty());
  const std::vector<std::byte> sound = usual.packed();
  for (std::size_t end = 0; end < 100; ++end) {
    static_cast<void>(Greeting::unpacked(std::span(sound).first(end)));
  }
}

TEST(Greeting, IsCutToFit) {
  const Greeting greeting{{{"A", "1"}}, std::string(10'000, 'x')};
  EXPECT_EQ(greeting.packed().size(), Greeting::bytes);
  EXPECT_FALSE(Greeting::unpacked(greeting.packed()).problem.empty());
}

}  // namespace
}  // namespace sparccl::shim
