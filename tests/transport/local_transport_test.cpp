#include <gtest/gtest.h>

#include <string>

#include "exchanges.hpp"
#include "naive.hpp"
#include "ranks.hpp"
#include "transport/local.hpp"

namespace sparccl::test {
namespace {

using Group = std::vector<std::unique_ptr<Transport>>;

void on_each(Group& group, const std::function<void(Transport&)>& f) {
  run_ranks(
      static_cast<int>(group.size()), [&](int rank) { f(*group[static_cast<std::size_t>(rank)]); },
      [&] {
        for (auto& transport : group) transport->abort();
      });
}

std::byte content(int rank, std::size_t i, int round) {
  return static_cast<std::byte>(static_cast<std::size_t>(rank * 31 + round * 7) + i);
}

class LocalTransport : public testing::TestWithParam<int> {};
INSTANTIATE_TEST_SUITE_P(Ranks, LocalTransport, testing::Values(1, 2, 3, 4, 7, 16, 64),
                         testing::PrintToStringParamName());

void gather_rounds(Transport& transport, std::size_t bytes, bool small) {
  const auto size = static_cast<std::size_t>(transport.size());
  for (int round = 0; round < 3; ++round) {
    Bytes slots(size * bytes + 1, std::byte{0xee});
    const auto own = static_cast<std::size_t>(transport.rank()) * bytes;
    for (std::size_t i = 0; i < bytes; ++i) slots[own + i] = content(transport.rank(), i, round);
    if (small) {
      transport.meet(slots.data(), bytes, nullptr);
    } else {
      transport.all_gather(slots.data(), bytes, nullptr);
    }
    for (int rank = 0; rank < transport.size(); ++rank) {
      for (std::size_t i = 0; i < bytes; ++i) {
        ASSERT_EQ(slots[static_cast<std::size_t>(rank) * bytes + i], content(rank, i, round))
            << "slot " << rank << ", byte " << i << ", seen by rank " << transport.rank();
      }
    }
    ASSERT_EQ(slots.back(), std::byte{0xee});
  }
}

TEST_P(LocalTransport, KnowsItsPlace) {
  Group group = make_local_transports(GetParam(), {});
  for (int rank = 0; rank < GetParam(); ++rank) {
    EXPECT_EQ(group[static_cast<std::size_t>(rank)]->rank(), rank);
    EXPECT_EQ(group[static_cast<std::size_t>(rank)]->size(), GetParam());
  }
}

TEST_P(LocalTransport, AllGatherFillsTheOthersSlots) {
  Group group = make_local_transports(GetParam(), {});
  for (const std::size_t bytes :
       {std::size_t{0}, std::size_t{1}, std::size_t{64}, std::size_t{10'003}}) {
    on_each(group, [&](Transport& transport) { gather_rounds(transport, bytes, false); });
  }
}

TEST_P(LocalTransport, MeetIsASmallAllGather) {
  Group group = make_local_transports(GetParam(), {});
  on_each(group, [&](Transport& transport) { gather_rounds(transport, 144, true); });
}

/// Every type and reduction, on one group, so that each call also follows another.
void reduce_everything(int ranks, std::size_t count, bool in_place) {
  Group group = make_local_transports(ranks, {});
  for (const DataType type : all_types) {
    std::vector<Bytes> data;
    for (int r = 0; r < ranks; ++r) {
      data.push_back(random_entries(type, count, static_cast<std::uint64_t>(r) + 1));
    }
    for (const Reduction reduction : all_reductions) {
      const Bytes expected = naive_reduce(data, type, reduction);
      on_each(group, [&](Transport& transport) {
        Bytes send = data[static_cast<std::size_t>(transport.rank())];
        Bytes other(send.size());
        Bytes& recv = in_place ? send : other;
        transport.all_reduce(send.data(), recv.data(), count, type, reduction, nullptr);
        ASSERT_EQ(recv, expected) << sparccl::name_of(type) << " " << sparccl::name_of(reduction)
                                  << ", " << count << " entries, rank " << transport.rank();
      });
    }
  }
}

TEST_P(LocalTransport, AllReduceEqualsANaiveLoopBitForBit) {
  for (const std::size_t count : {std::size_t{1}, std::size_t{65}, std::size_t{1027}}) {
    reduce_everything(GetParam(), count, false);
  }
}

TEST_P(LocalTransport, AllReduceInPlace) { reduce_everything(GetParam(), 1027, true); }

TEST_P(LocalTransport, SlotsAndShards) {
  if (GetParam() > 16) GTEST_SKIP() << "nothing new, and slow";
  Group group = make_local_transports(GetParam(), {});
  on_each(group, [](Transport& transport) { check_exchanges(all_of(transport)); });
}

class LocalGroups : public testing::TestWithParam<std::pair<int, int>> {};
INSTANTIATE_TEST_SUITE_P(RanksAndSize, LocalGroups,
                         testing::Values(std::pair(1, 1), std::pair(2, 1), std::pair(2, 2),
                                         std::pair(3, 3), std::pair(4, 2), std::pair(8, 1),
                                         std::pair(8, 2), std::pair(8, 4), std::pair(8, 8)));

TEST_P(LocalGroups, ExchangeAmongThemselves) {
  Group group = make_local_transports(GetParam().first, {});
  on_each(group, [](Transport& transport) { check_groups(transport, GetParam().second); });
}

TEST(LocalGroup, GroupsOfGroupsAreOrderedByRank) {
  Group group = make_local_transports(8, {});
  on_each(group, [](Transport& transport) {
    const auto half = transport.group(transport.rank() % 2);
    const auto quarter = half->group(1 - half->rank() / 2);
    const int first = transport.rank() % 2 + transport.rank() / 4 * 4;
    check_all_gather({*quarter, {first, first + 2}}, 10);
  });
}

TEST(LocalGroup, UnequalGroupsAndNegativeColorsAreRefusedOnEveryRank) {
  Group group = make_local_transports(3, {});
  on_each(group, [](Transport& transport) {
    const auto refused = [&](int color, const std::string& part) {
      try {
        static_cast<void>(transport.group(color));
        ADD_FAILURE() << part;
      } catch (const Error& error) {
        EXPECT_EQ(error.code(), Result::invalid_argument);
        EXPECT_NE(std::string(error.what()).find(part), std::string::npos) << error.what();
      }
    };
    refused(transport.rank() / 2, "rank 2 passed color 1: expected groups of one size, 2");
    refused(transport.rank() == 1 ? -1 : 5, "rank 1 passed color -1: expected 0 or more");
    check_all_gather(all_of(transport), 8);  // nothing has happened
  });
}

TEST(LocalNodes, AreAllOneOrAsTheOptionsSay) {
  using Nodes = std::vector<int>;
  for (const auto& [per_node, expected] :
       {std::pair(0, Nodes{0, 0, 0, 0, 0}), std::pair(2, Nodes{0, 0, 1, 1, 2}),
        std::pair(1, Nodes{0, 1, 2, 3, 4}), std::pair(9, Nodes{0, 0, 0, 0, 0})}) {
    Group group = make_local_transports(5, {.ranks_per_node = per_node});
    for (auto& transport : group) EXPECT_EQ(transport->nodes(), expected);
  }
  Group group = make_local_transports(4, {.ranks_per_node = 2});
  on_each(group, [](Transport& transport) {
    EXPECT_EQ(transport.group(transport.rank() % 2)->nodes(), (Nodes{0, 1}));
    EXPECT_EQ(transport.group(transport.rank() / 2)->nodes(), (Nodes{0, 0}));
  });
  try {
    static_cast<void>(make_local_transports(4, {.ranks_per_node = -1}));
    ADD_FAILURE();
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), Result::invalid_argument);
    EXPECT_NE(std::string(error.what()).find("expected 0 or more, found -1"), std::string::npos);
  }
}

TEST(LocalTransportCount, ZeroEntriesIsAMeeting) {
  Group group = make_local_transports(3, {});
  on_each(group, [](Transport& transport) {
    transport.all_reduce(nullptr, nullptr, 0, DataType::float32, Reduction::sum, nullptr);
  });
}

TEST(LocalTransportMix, CallsOfManySizesFollowEachOther) {
  constexpr int ranks = 5;
  Group group = make_local_transports(ranks, {});
  on_each(group, [](Transport& transport) {
    std::mt19937 random(7);  // the same on every rank
    for (int round = 0; round < 300; ++round) {
      const std::size_t count = random() % 3000;
      if (random() % 2 == 0) {
        gather_rounds(transport, count, false);
      } else {
        std::vector<std::int32_t> data(count, transport.rank() + round);
        transport.all_reduce(data.data(), data.data(), count, DataType::int32, Reduction::sum,
                             nullptr);
        for (const std::int32_t x : data) ASSERT_EQ(x, ranks * round + ranks * (ranks - 1) / 2);
      }
    }
  });
}

}  // namespace
}  // namespace sparccl::test
