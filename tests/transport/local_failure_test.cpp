// What happens to ranks that wait for one which does not come.
#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <string>
#include <thread>

#include "ranks.hpp"
#include "transport/local.hpp"

namespace sparccl::test {
namespace {

using Group = std::vector<std::unique_ptr<Transport>>;
using std::chrono::milliseconds;

struct Outcome {
  Result code = Result::success;
  std::string what;
};

Outcome outcome(const std::function<void()>& call) {
  try {
    call();
  } catch (const Error& error) {
    return {error.code(), error.what()};
  }
  return {};
}

Outcome meet(Transport& transport) {
  std::vector<std::byte> slots(static_cast<std::size_t>(transport.size()) * 64);
  return outcome([&] { transport.meet(slots.data(), 64, nullptr); });
}

bool contains(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

/// Runs meet() on the given ranks at once and returns what became of each.
std::vector<Outcome> meet_on(Group& group, const std::vector<std::size_t>& ranks,
                             const std::function<void()>& meanwhile = {}) {
  std::vector<Outcome> outcomes(ranks.size());
  std::vector<std::thread> threads;
  for (std::size_t i = 0; i < ranks.size(); ++i) {
    threads.emplace_back([&, i] { outcomes[i] = meet(*group[ranks[i]]); });
  }
  if (meanwhile) {
    std::this_thread::sleep_for(milliseconds(50));
    meanwhile();
  }
  for (std::thread& thread : threads) thread.join();
  return outcomes;
}

TEST(LocalFailure, AbortEndsWaitsAndLaterCallsOfAllRanks) {
  Group group = make_local_transports(4, {});
  for (const Outcome& o : meet_on(group, {0, 1, 3}, [&] { group[3]->abort(); })) {
    EXPECT_EQ(o.code, Result::aborted);
    EXPECT_TRUE(contains(o.what, "rank 3")) << o.what;
  }
  for (auto& transport : group) EXPECT_EQ(meet(*transport).code, Result::aborted);
  float x = 0;
  EXPECT_EQ(outcome([&] {
              group[2]->all_reduce(&x, &x, 1, DataType::float32, Reduction::sum, nullptr);
            }).code,
            Result::aborted);
}

TEST(LocalFailure, TimeoutNamesWhoIsMissing) {
  Group group = make_local_transports(4, {.timeout_ms = 100});
  const auto start = std::chrono::steady_clock::now();
  for (const Outcome& o : meet_on(group, {0, 3})) {
    EXPECT_EQ(o.code, Result::timeout);
    EXPECT_TRUE(contains(o.what, "ranks 1, 2 did not arrive within 100 ms")) << o.what;
  }
  EXPECT_GE(std::chrono::steady_clock::now() - start, milliseconds(100));
  const Outcome late = meet(*group[2]);
  EXPECT_EQ(late.code, Result::remote_error);
  EXPECT_TRUE(contains(late.what, "gave up: ranks 1, 2 did not arrive")) << late.what;
}

TEST(LocalFailure, NobodyIsLateWithoutATimeout) {
  Group group = make_local_transports(2, {});
  std::thread other([&] { EXPECT_EQ(meet(*group[1]).code, Result::success); });
  std::this_thread::sleep_for(milliseconds(200));
  EXPECT_EQ(meet(*group[0]).code, Result::success);
  other.join();
}

TEST(LocalFailure, TheLongestTimeoutIsNotInThePast) {
  Group group = make_local_transports(2, {.timeout_ms = ~std::uint64_t{0}});
  std::thread other([&] { EXPECT_EQ(meet(*group[1]).code, Result::success); });
  std::this_thread::sleep_for(milliseconds(50));
  EXPECT_EQ(meet(*group[0]).code, Result::success);
  other.join();
}

TEST(LocalFailure, ARankThatLeavesReleasesTheOthers) {
  Group group = make_local_transports(3, {});
  for (const Outcome& o : meet_on(group, {0, 2}, [&] { group[1].reset(); })) {
    EXPECT_EQ(o.code, Result::remote_error);
    EXPECT_TRUE(contains(o.what, "rank 1 left")) << o.what;
  }
  EXPECT_EQ(meet(*group[0]).code, Result::remote_error);
  group[0]->abort();  // whoever aborts is told that, not what came before
  EXPECT_EQ(meet(*group[0]).code, Result::aborted);
}

TEST(LocalFailure, RanksMayLeaveOneAfterAnother) {
  for (int round = 0; round < 50; ++round) {
    Group group = make_local_transports(8, {});
    run_ranks(
        8,
        [&](int rank) {
          auto& transport = group[static_cast<std::size_t>(rank)];
          ASSERT_EQ(meet(*transport).code, Result::success);
          transport.reset();  // while others are still on their way out
        },
        [] {});
  }
}

/// Buffers are freed the moment a call throws: a rank that still read them would be seen by ASan.
TEST(LocalFailure, AnAbortAtAnyMomentLeavesNoReaderBehind) {
  for (int round = 0; round < 100; ++round) {
    Group group = make_local_transports(4, {});
    std::atomic<int> calls = 0;
    std::thread aborter([&] {
      while (calls < 8 + round % 7) std::this_thread::yield();
      group[0]->abort();
    });
    run_ranks(
        4,
        [&](int rank) {
          Transport& transport = *group[static_cast<std::size_t>(rank)];
          Outcome o;
          while (o.code == Result::success) {
            ++calls;
            o = outcome([&] {
              std::vector<std::byte> slots(4 * 20'000);
              transport.all_gather(slots.data(), 20'000, nullptr);
              std::vector<std::byte> more(4 * 20'000);
              transport.all_to_all(slots.data(), more.data(), 20'000, nullptr);
              transport.all_gather_shards(more.data(), 20'000, 4, nullptr);
              std::vector<float> data(9'000), shard(9'000 / 4);
              transport.reduce_scatter(data.data(), shard.data(), 9'000, DataType::float32,
                                       nullptr);
              transport.all_reduce(data.data(), data.data(), data.size(), DataType::float32,
                                   Reduction::sum, nullptr);
            });
          }
          EXPECT_EQ(o.code, Result::aborted) << o.what;
        },
        [] {});
    aborter.join();
  }
}

/// Four ranks in two groups; ranks 0 and 1 wait in the first one, rank 3 in the second or the
/// whole.
struct Groups {
  explicit Groups(std::uint64_t timeout_ms) : whole(make_local_transports(4, {timeout_ms})) {
    groups.resize(4);
    run_ranks(
        4,
        [&](int rank) {
          const auto place = static_cast<std::size_t>(rank);
          groups[place] = whole[place]->group(rank / 2);
        },
        [] {});
  }
  std::vector<Outcome> wait(bool in_the_whole, const std::function<void()>& meanwhile = {}) {
    std::vector<Outcome> outcomes(3);
    std::vector<std::thread> threads;
    threads.emplace_back([&] { outcomes[0] = meet(*groups[0]); });
    threads.emplace_back([&] { outcomes[1] = meet(*groups[1]); });
    threads.emplace_back([&] { outcomes[2] = meet(in_the_whole ? *whole[3] : *groups[3]); });
    std::this_thread::sleep_for(milliseconds(30));
    if (meanwhile) meanwhile();
    for (std::thread& thread : threads) thread.join();
    return outcomes;
  }
  Group whole;
  Group groups;
};

TEST(LocalFailure, WhatEndsARankEndsTheWaitsInAllGroups) {
  for (const bool in_the_whole : {false, true}) {
    for (const bool of_the_group : {false, true}) {
      for (const bool abort : {false, true}) {
        Groups all(0);
        Transport& ends = of_the_group ? *all.groups[2] : *all.whole[2];
        const auto end = [&] { abort ? ends.abort() : ends.give_up(Result::bad_packet); };
        for (const Outcome& o : all.wait(in_the_whole, end)) {
          EXPECT_EQ(o.code, abort ? Result::aborted : Result::remote_error);
          EXPECT_TRUE(contains(o.what, "rank 2")) << o.what;
        }
        EXPECT_NE(meet(*all.whole[2]).code, Result::success);
        EXPECT_NE(meet(*all.groups[2]).code, Result::success);
      }
    }
  }
}

TEST(LocalFailure, ATimeoutInAGroupNamesRanksOfTheWhole) {
  Groups all(100);
  for (const Outcome& o : all.wait(false)) {
    EXPECT_EQ(o.code, Result::timeout);
    EXPECT_TRUE(contains(o.what, "rank 2 did not arrive within 100 ms")) << o.what;
  }
}

TEST(LocalFailure, AGroupThatIsDestroyedLeavesItsRanksAsTheyWere) {
  Groups all(0);
  all.groups.clear();
  run_ranks(
      4,
      [&](int rank) {
        EXPECT_EQ(meet(*all.whole[static_cast<std::size_t>(rank)]).code, Result::success);
      },
      [] {});
}

TEST(LocalFailure, AGroupHasAtLeastOneRank) {
  for (const int ranks : {0, -1}) {
    const Outcome o = outcome([&] { static_cast<void>(make_local_transports(ranks, {})); });
    EXPECT_EQ(o.code, Result::invalid_argument);
    EXPECT_TRUE(contains(o.what, "expected at least 1, found " + std::to_string(ranks))) << o.what;
  }
}

}  // namespace
}  // namespace sparccl::test
