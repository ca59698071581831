// A rank that ends while others wait for it in groups, elsewhere in other groups, and in the whole.
#include <chrono>
#include <memory>
#include <vector>

#include "communicator.hpp"
#include "ranks_of_mpi.hpp"

namespace sparccl::test {
namespace {

Outcome meet(Transport& transport) {
  std::vector<std::byte> slots(static_cast<std::size_t>(transport.size()) * 64);
  return outcome([&] { transport.meet(slots.data(), 64, nullptr); });
}

/// Ranks in groups of two, or in one group where their number is odd.
class MpiGroupFailure : public testing::Test {
 protected:
  void SetUp() override {
    int size = 0;
    MPI_Comm_size(MPI_COMM_WORLD, &size);
    if (size < 3) GTEST_SKIP() << "no rank would wait elsewhere";
  }

  struct Ranks {
    explicit Ranks(std::uint64_t timeout_ms)
        : communicator(world(timeout_ms)),
          whole(communicator.impl()->transport()),
          group_size(whole.size() % 2 == 0 ? 2 : whole.size()),
          group(whole.group(whole.rank() / group_size)) {}
    [[nodiscard]] bool is_last() const { return whole.rank() == whole.size() - 1; }
    [[nodiscard]] std::string last() const { return "rank " + std::to_string(whole.size() - 1); }
    /// Where this rank waits: rank 1 in the whole, so that rank 0 waits for it in its group.
    [[nodiscard]] Transport& place() { return whole.rank() == 1 ? whole : *group; }

    Communicator communicator;
    Transport& whole;
    int group_size;
    std::unique_ptr<Transport> group;
  };
};

TEST_F(MpiGroupFailure, ARankThatGivesUpInEitherIsHeardOfEverywhere) {
  for (const bool in_the_group : {true, false}) {
    Ranks ranks(0);
    if (ranks.is_last()) {
      (in_the_group ? *ranks.group : ranks.whole).give_up(Result::bad_packet);
    } else {
      const Outcome found = meet(ranks.place());
      // a rank that waits for one that was told names both
      EXPECT_TRUE(found.code == Result::remote_error || found.code == Result::timeout) << found;
      EXPECT_TRUE(found.mentions(ranks.last() + " gave up")) << found;
      EXPECT_EQ(meet(ranks.whole).code, Result::invalid_usage);
      EXPECT_EQ(meet(*ranks.group).code, Result::invalid_usage);
    }
    barrier();
  }
}

TEST_F(MpiGroupFailure, AnAbortOfEitherIsHeardOfEverywhere) {
  for (const bool of_the_group : {true, false}) {
    for (const bool by_leaving : {true, false}) {
      Ranks ranks(0);
      if (ranks.is_last()) {
        (of_the_group ? *ranks.group : ranks.whole).abort();
        if (by_leaving) {
          ranks.group.reset();
          ranks.communicator = Communicator::local(1).front();
        } else {
          EXPECT_EQ(meet(of_the_group ? ranks.whole : *ranks.group).code, Result::aborted);
        }
      } else {
        const Outcome found = meet(ranks.place());
        EXPECT_EQ(found.code, Result::remote_error) << found;
        EXPECT_TRUE(found.mentions(ranks.last() + " aborted")) << found;
      }
      barrier();
    }
  }
}

TEST_F(MpiGroupFailure, ATimeoutInAGroupNamesRanksOfTheWhole) {
  Ranks ranks(300);
  if (!ranks.is_last()) {
    const Outcome found = meet(*ranks.group);
    const bool waits =
        ranks.whole.rank() / ranks.group_size == (ranks.whole.size() - 1) / ranks.group_size;
    if (waits) {
      EXPECT_EQ(found.code, Result::timeout) << found;
      EXPECT_TRUE(found.mentions(ranks.last() + " did not arrive")) << found;
    }
    EXPECT_NE(meet(ranks.whole).code, Result::success);
  }
  barrier();
}

/// All have met in their groups, and then one does not transfer. MPI keeps the buffers.
TEST_F(MpiGroupFailure, ATransferThatDoesNotEndIsGivenUpByAll) {
  constexpr std::size_t bytes = 1'000'000;
  for (int which = 0; which < 3; ++which) {
    Ranks ranks(300);
    const auto size = static_cast<std::size_t>(ranks.group->size());
    static std::vector<std::byte*> kept;  // never freed: see above
    kept.push_back(new std::byte[size * bytes]{});
    kept.push_back(new std::byte[size * bytes]{});
    std::byte* const from = kept[kept.size() - 2];
    std::byte* const to = kept.back();
    const auto transfer = [&] {
      if (which == 0) ranks.group->all_to_all(from, to, bytes, nullptr);
      if (which == 1) ranks.group->all_gather_shards(from, size * bytes, 1, nullptr);
      if (which == 2) {
        ranks.group->reduce_scatter(from, to, size * bytes / 2, DataType::bfloat16, nullptr);
      }
    };
    static_cast<void>(meet(*ranks.group));
    if (!ranks.is_last()) {
      const auto start = std::chrono::steady_clock::now();
      Outcome found = outcome(transfer);
      if (found.code == Result::success) found = meet(ranks.whole);  // of another group
      EXPECT_TRUE(found.code == Result::timeout || found.code == Result::remote_error) << found;
      EXPECT_LT(std::chrono::steady_clock::now() - start, std::chrono::seconds(5));
      EXPECT_EQ(outcome(transfer).code, Result::invalid_usage);
      EXPECT_EQ(meet(ranks.whole).code, Result::invalid_usage);
    }
    barrier();
    if (ranks.is_last()) static_cast<void>(outcome(transfer));  // ends, in time or with an error
    barrier();
  }
}

}  // namespace
}  // namespace sparccl::test
