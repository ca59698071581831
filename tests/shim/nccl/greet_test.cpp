// What ranks tell each other first, over the stand-in for NCCL. A process has one environment: what
// is one rank's own is made here.
#include "shim/nccl/greet.hpp"

#include <gtest/gtest.h>

#include <array>
#include <atomic>
#include <functional>
#include <string>
#include <thread>
#include <vector>

#include "cuda/runtime.hpp"
#include "environment.hpp"
#include "ranks.hpp"
#include "simt.hpp"

namespace sparccl::shim::nccl {
namespace {

using test::Variables;

struct Outcome {
  Result code = Result::success;
  std::string text;
};

Greeting greeting_of(Variables variables) {
  return {shared_settings(test::environment_of(std::move(variables))), ""};
}

/// Of three ranks; those that have no greeting do not come.
std::vector<Outcome> greet_all(const std::vector<std::optional<Greeting>>& greetings,
                               std::uint64_t timeout_ms, const std::atomic<bool>& aborted = false) {
  const int ranks = static_cast<int>(greetings.size());
  const test::UserComms comms(ranks);
  std::vector<Outcome> outcomes(greetings.size());
  test::on_ranks(ranks, [&](int rank) {
    const auto place = static_cast<std::size_t>(rank);
    if (!greetings[place]) return;
    const cuda::OwnStream stream;
    outcomes[place].code = test::code_thrown(
        [&] {
          greet({comms[rank], rank, ranks, test::device_of(rank)}, *greetings[place], stream.get(),
                timeout_ms, aborted);
        },
        &outcomes[place].text);
    if (outcomes[place].code != Result::success) pncclCommAbort(comms[rank]);
  });
  return outcomes;
}

TEST(Greet, EqualSettingsPassAndLeaveNothing) {
  const simt::Live before = simt::live();
  const auto own = greeting_of({{"SPARCCL_DENSITY", "0.5"}});
  for (const Outcome& outcome : greet_all({own, own, own}, 0)) {
    EXPECT_EQ(outcome.code, Result::success) << outcome.text;
  }
  EXPECT_EQ(simt::live().device_bytes, before.device_bytes);
  EXPECT_EQ(simt::live().pinned_bytes, before.pinned_bytes);
}

TEST(Greet, AnotherSettingIsNamedOnEveryRank) {
  const auto own = greeting_of({});
  const auto other = greeting_of({{"SPARCCL_MIN_COUNT", "7"}});
  for (const Outcome& outcome : greet_all({own, own, other}, 0)) {
    EXPECT_EQ(outcome.code, Result::mismatch);
    EXPECT_NE(outcome.text.find("rank 2 has SPARCCL_MIN_COUNT = \"7\""), std::string::npos)
        << outcome.text;
  }
}

TEST(Greet, OneThatIsDisabledIsNamed) {
  for (const Outcome& outcome :
       greet_all({greeting_of({}), greeting_of({{"SPARCCL_DISABLE", "1"}})}, 0)) {
    EXPECT_NE(outcome.text.find("rank 1 has SPARCCL_DISABLE = \"1\""), std::string::npos)
        << outcome.text;
  }
}

TEST(Greet, OneThatDoesNotComeIsWaitedForSoLong) {
  const auto outcomes = greet_all({greeting_of({}), std::nullopt}, 200);
  EXPECT_EQ(outcomes[0].code, Result::timeout);
  EXPECT_NE(outcomes[0].text.find("LD_PRELOAD"), std::string::npos) << outcomes[0].text;
}

TEST(Greet, AnAbortEndsTheWait) {
  std::atomic<bool> aborted = false;
  std::thread other([&] {
    std::this_thread::sleep_for(std::chrono::milliseconds(100));
    aborted = true;
  });
  EXPECT_EQ(greet_all({greeting_of({}), std::nullopt}, 0, aborted)[0].code, Result::aborted);
  other.join();
}

}  // namespace
}  // namespace sparccl::shim::nccl
