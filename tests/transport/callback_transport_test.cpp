#include "transport/callbacks.hpp"

#include <gtest/gtest.h>

#include <deque>
#include <functional>
#include <string>

#include "callback_ranks.hpp"
#include "exchanges.hpp"
#include "naive.hpp"
#include "ranks.hpp"

namespace sparccl::test {
namespace {

using Rank = CallbackHub::Rank;

class CallbackGroup {
 public:
  explicit CallbackGroup(
      int size, const std::function<void(sparcclTransport_t&)>& change = [](auto&) {},
      int ranks_per_node = 0)
      : hub(size) {
    for (int r = 0; r < size; ++r) {
      ranks.emplace_back(&hub, r);
      sparcclTransport_t functions = hub.functions(ranks.back());
      change(functions);
      transports.push_back(make_callback_transport(functions, {.ranks_per_node = ranks_per_node}));
    }
  }
  void on_each(const std::function<void(Transport&)>& f) {
    run_ranks(
        static_cast<int>(ranks.size()), [&](int r) { f(*transports[static_cast<std::size_t>(r)]); },
        [] {});
  }

  CallbackHub hub;
  std::deque<Rank> ranks;  // they stay where they are
  std::vector<std::unique_ptr<Transport>> transports;
};

void expect_error(Result code, const std::string& part, const std::function<void()>& call) {
  try {
    call();
    ADD_FAILURE() << "nothing was thrown: " << part;
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), code) << error.what();
    EXPECT_NE(std::string(error.what()).find(part), std::string::npos) << error.what();
  }
}

TEST(CallbackTransport, GathersInPlaceAndInRankOrder) {
  CallbackGroup group(3);
  group.on_each([](Transport& transport) {
    EXPECT_EQ(transport.size(), 3);
    for (const bool small : {true, false}) {
      std::vector<int> slots(3, -1);
      slots[static_cast<std::size_t>(transport.rank())] = 10 + transport.rank();
      if (small) {
        transport.meet(slots.data(), sizeof(int), nullptr);
      } else {
        transport.all_gather(slots.data(), sizeof(int), nullptr);
      }
      EXPECT_EQ(slots, (std::vector<int>{10, 11, 12}));
    }
    transport.all_gather(nullptr, 0, nullptr);  // nothing to send: the function is not called
  });
  for (const Rank& rank : group.ranks) EXPECT_EQ(rank.calls, 2);
}

TEST(CallbackTransport, ReducesByAllGatherBitForBitInPieces) {
  constexpr std::size_t count = (std::size_t{1} << 20) + 77;  // two pieces and more of any type
  CallbackGroup group(3);
  for (const DataType type : all_types) {
    std::vector<Bytes> data;
    for (std::uint64_t r = 0; r < 3; ++r) data.push_back(random_entries(type, count, r + 1));
    for (const Reduction reduction : {Reduction::avg, Reduction::max}) {
      const Bytes expected = naive_reduce(data, type, reduction);
      group.on_each([&](Transport& transport) {
        Bytes send = data[static_cast<std::size_t>(transport.rank())];
        Bytes other(send.size());
        Bytes& recv = reduction == Reduction::max ? send : other;
        transport.all_reduce(send.data(), recv.data(), count, type, reduction, nullptr);
        EXPECT_EQ(recv, expected) << sparccl::name_of(type) << " " << sparccl::name_of(reduction);
      });
    }
  }
}

int reduce_to_seven(void*, const void*, void* recv, std::size_t count, sparcclDataType_t datatype,
                    sparcclRedOp_t op) {
  if (datatype != sparcclInt32 || op != sparcclMin) return 9;
  for (std::size_t i = 0; i < count; ++i) static_cast<std::int32_t*>(recv)[i] = 7;
  return 0;
}

TEST(CallbackTransport, ReducesByItsOwnFunctionWhereThereIsOne) {
  CallbackGroup group(1, [](auto& functions) { functions.allReduce = reduce_to_seven; });
  Transport& transport = *group.transports[0];
  std::int32_t x[2] = {1, 2};
  transport.all_reduce(x, x, 2, DataType::int32, Reduction::min, nullptr);
  EXPECT_EQ(x[1], 7);
  EXPECT_EQ(group.ranks[0].calls, 0);
  expect_error(Result::remote_error, "allReduce on rank 0 of 1: expected 0, found 9",
               [&] { transport.all_reduce(x, x, 2, DataType::int32, Reduction::sum, nullptr); });
}

TEST(CallbackTransport, SlotsAndShardsByAllGather) {
  for (const int ranks : {1, 2, 3, 4, 8}) {
    CallbackGroup group(ranks);
    group.on_each([](Transport& transport) { check_exchanges(all_of(transport)); });
  }
}

TEST(CallbackTransport, SlotsAndShardsInPieces) {
  constexpr std::size_t mebibyte = std::size_t{1} << 20;  // of a rank, at a time
  CallbackGroup group(3);
  group.on_each([](Transport& transport) {
    check_all_to_all(all_of(transport), mebibyte / 2 + 5);
    check_reduce_scatter(all_of(transport), mebibyte / 2 + 11, DataType::float16);
    check_all_gather_shards(all_of(transport), 3 * mebibyte / 4 + 11, 4);
    const auto one = transport.group(transport.rank());
    check_all_gather({*one, {transport.rank()}}, mebibyte + 3);
  });
}

TEST(CallbackTransport, GroupsByAllGather) {
  for (const auto& [ranks, size] : {std::pair(1, 1), std::pair(2, 2), std::pair(3, 1),
                                    std::pair(4, 2), std::pair(8, 4), std::pair(8, 2)}) {
    CallbackGroup group(ranks);
    group.on_each([size = size](Transport& transport) { check_groups(transport, size); });
  }
}

TEST(CallbackTransport, AShardComesFromItsOwnFunctionWhereThereIsOne) {
  CallbackGroup group(1, [](auto& functions) {
    functions.allReduce = [](void*, const void*, void* recv, std::size_t count, sparcclDataType_t,
                             sparcclRedOp_t op) {
      for (std::size_t i = 0; i < count; ++i) static_cast<std::int32_t*>(recv)[i] = 7;
      return op == sparcclSum ? 0 : 9;
    };
  });
  const std::int32_t send[3] = {1, 2, 3};
  std::int32_t recv[3] = {};
  group.transports[0]->reduce_scatter(send, recv, 3, DataType::int32, nullptr);
  EXPECT_EQ(recv[2], 7);
  EXPECT_EQ(group.ranks[0].calls, 0);
}

TEST(CallbackTransport, NodesAreAllOneOrAsTheOptionsSay) {
  const CallbackGroup whole(3);
  EXPECT_EQ(whole.transports[1]->nodes(), (std::vector<int>{0, 0, 0}));
  const CallbackGroup two(
      3, [](auto&) {}, 2);
  EXPECT_EQ(two.transports[1]->nodes(), (std::vector<int>{0, 0, 1}));
}

TEST(CallbackTransport, AGroupEndsWithItsRankAndItsRankWithIt) {
  for (const bool abort : {false, true}) {
    CallbackGroup group(2);
    group.on_each([&](Transport& transport) {
      const auto part = transport.group(transport.rank());
      Rank& rank = group.ranks[static_cast<std::size_t>(transport.rank())];
      if (!abort) {
        part->give_up(Result::bad_packet);
        transport.give_up(Result::aborted);  // has been said
        EXPECT_EQ(rank.gave_up, 1);
        EXPECT_EQ(rank.reason, sparcclBadPacket);
        return;
      }
      part->abort();
      EXPECT_EQ(rank.aborted, 1);
      const std::string by = "aborted by rank " + std::to_string(transport.rank());
      int slots[2] = {};
      for (Transport* each : {&transport, part.get()}) {
        expect_error(Result::aborted, by, [&] { each->meet(slots, 1, nullptr); });
        expect_error(Result::aborted, by, [&] { each->all_to_all(slots, slots, 0, nullptr); });
        expect_error(Result::aborted, by, [&] { each->all_gather_shards(slots, 0, 4, nullptr); });
        expect_error(Result::aborted, by,
                     [&] { each->reduce_scatter(slots, slots, 0, DataType::int32, nullptr); });
      }
    });
  }
}

TEST(CallbackTransport, ACodeOtherThanZeroNamesFunctionRankAndCode) {
  CallbackGroup group(2);
  for (Rank& rank : group.ranks) rank.fail_at = 1;
  group.on_each([](Transport& transport) {
    int slots[2] = {};
    transport.all_gather(slots, sizeof(int), nullptr);
    expect_error(Result::remote_error,
                 "the transport's allGather on rank " + std::to_string(transport.rank()) +
                     " of 2: expected 0, found 42",
                 [&] { transport.all_gather(slots, sizeof(int), nullptr); });
  });
}

TEST(CallbackTransport, AnAbortIsPassedOnAndExplainsTheFailure) {
  CallbackGroup group(1);
  Transport& transport = *group.transports[0];
  transport.abort();
  EXPECT_EQ(group.ranks[0].aborted, 1);
  float x = 0;
  expect_error(Result::aborted, "aborted by rank 0",
               [&] { transport.meet(&x, sizeof(x), nullptr); });
  expect_error(Result::aborted, "aborted by rank 0", [&] {
    transport.all_reduce(&x, &x, 1, DataType::float32, Reduction::sum, nullptr);
  });
  EXPECT_EQ(group.ranks[0].calls, 0);
}

TEST(CallbackTransport, AnAbortDuringACallExplainsItsFailure) {
  static Transport* under_way = nullptr;
  CallbackGroup group(1, [](auto& functions) {
    functions.allGather = [](void*, void*, std::size_t) {
      under_way->abort();
      return 1;
    };
  });
  under_way = group.transports[0].get();
  float x = 0;
  expect_error(Result::aborted, "aborted by rank 0",
               [&] { under_way->all_gather(&x, sizeof(x), nullptr); });
}

TEST(CallbackTransport, GivesUpOnceAndSaysWhy) {
  CallbackGroup group(1);
  group.transports[0]->give_up(Result::bad_packet);
  group.transports[0]->give_up(Result::aborted);
  EXPECT_EQ(group.ranks[0].gave_up, 1);
  EXPECT_EQ(group.ranks[0].reason, sparcclBadPacket);
}

TEST(CallbackTransport, FunctionsThatMayBeMissing) {
  CallbackGroup group(1, [](auto& functions) {
    functions.giveUp = nullptr;
    functions.abort = nullptr;
  });
  group.transports[0]->give_up(Result::timeout);
  group.transports[0]->abort();
}

TEST(CallbackTransport, RefusesWhatIsNoTransport) {
  const auto refused = [](const std::string& part,
                          const std::function<void(sparcclTransport_t&)>& change,
                          std::uint64_t timeout_ms = 0) {
    const CallbackHub hub(4);
    Rank rank{nullptr, 3};
    sparcclTransport_t functions = hub.functions(rank);
    change(functions);
    expect_error(Result::invalid_argument, part, [&] {
      static_cast<void>(make_callback_transport(functions, {.timeout_ms = timeout_ms}));
    });
  };
  refused("transport.rank: expected 0 to 3, found 4", [](auto& f) { f.rank = 4; });
  refused("transport.rank: expected 0 to 3, found -1", [](auto& f) { f.rank = -1; });
  refused("transport.nranks: expected at least 1, found 0", [](auto& f) { f.nranks = 0; });
  refused("transport.allGather: expected a function", [](auto& f) { f.allGather = nullptr; });
  refused(
      "config.timeoutMs: expected 0", [](auto&) {}, 5);
  CallbackHub hub(1);
  Rank rank{&hub, 0};
  expect_error(Result::invalid_argument, "ranks_per_node: expected 0 or more, found -4", [&] {
    static_cast<void>(make_callback_transport(hub.functions(rank), {.ranks_per_node = -4}));
  });
}

/// Shards of which the last is longer, whose packet takes a line more: groups still gather alike.
TEST(CallbackTransport, CarriesTheHierarchicalPathOfUnequalShards) {
  constexpr std::size_t count = 5'022 + 5'023;
  CallbackGroup group(
      4, [](auto&) {}, 2);
  std::vector<Communicator> communicators;
  for (auto& transport : group.transports) communicators.emplace_back(std::move(transport));
  run_ranks(
      4,
      [&](int rank) {
        SparseAllreduce tensor(communicators[static_cast<std::size_t>(rank)], "fc1", count,
                               DataType::float32, {.density = 1.0, .path = Path::hierarchical});
        std::vector<float> gradient(count, 1.0f + static_cast<float>(rank));
        tensor(gradient.data(), gradient.data());
        EXPECT_EQ(gradient, std::vector<float>(count, 10.0f));
      },
      [] {});
}

}  // namespace
}  // namespace sparccl::test
