// What arrives: the same as on the local transport, bit for bit where that is promised.
#include <cmath>
#include <numeric>
#include <random>
#include <vector>

#include "communicator.hpp"
#include "exchanges.hpp"
#include "naive.hpp"
#include "ranks.hpp"
#include "ranks_of_mpi.hpp"
#include "transport/ring.hpp"

namespace sparccl::test {
namespace {

std::byte content(int rank, std::size_t i) {
  return static_cast<std::byte>(static_cast<std::size_t>(rank) * 37 + i % 251);
}

TEST(MpiTransfers, AllGatherAndMeetFillTheOthersSlots) {
  const Communicator communicator = world();
  Transport& transport = communicator.impl()->transport();
  const auto size = static_cast<std::size_t>(communicator.size());
  for (const std::size_t bytes : {0u, 1u, 63u, 64u, 144u, 4096u, 150'016u, 1'000'003u}) {
    for (const bool small : {true, false}) {
      if (small && bytes > 4096) continue;
      Bytes slots(size * bytes + 1, std::byte{0xee});
      const auto own = static_cast<std::size_t>(communicator.rank()) * bytes;
      for (std::size_t i = 0; i < bytes; ++i) slots[own + i] = content(communicator.rank(), i);
      if (small) {
        transport.meet(slots.data(), bytes, nullptr);
      } else {
        transport.all_gather(slots.data(), bytes, nullptr);
      }
      for (int rank = 0; rank < communicator.size(); ++rank) {
        for (std::size_t i = 0; i < bytes; ++i) {
          ASSERT_EQ(slots[static_cast<std::size_t>(rank) * bytes + i], content(rank, i))
              << "slot " << rank << ", byte " << i << " of " << bytes;
        }
      }
      ASSERT_EQ(slots.back(), std::byte{0xee});
    }
  }
}

/// Integers, that wrap, and floats small enough that every sum and product of them is exact in any
/// order: what MPI does not promise is not asked for.
Bytes exact_entries(DataType type, std::size_t count, std::uint64_t seed) {
  if (!is_floating_point(type)) return random_entries(type, count, seed);
  std::mt19937_64 random(seed);
  Bytes bytes(count * size_of(type));
  for (std::size_t i = 0; i < count; ++i) {
    store(type, bytes.data(), i, static_cast<double>(random() % 7) - 3.0);
  }
  return bytes;
}

void expect_naive_all_reduce(Communicator& communicator, DataType type, std::size_t count,
                             const std::vector<Reduction>& reductions) {
  std::vector<Bytes> data;
  for (int r = 0; r < communicator.size(); ++r) {
    data.push_back(exact_entries(type, count, static_cast<std::uint64_t>(r) + 1));
  }
  for (const Reduction reduction : reductions) {
    const std::string what = std::to_string(count) + " of " + sparccl::name_of(type) + ", " +
                             sparccl::name_of(reduction);
    const Bytes expected = naive_reduce(data, type, reduction);
    Bytes send = data[static_cast<std::size_t>(communicator.rank())];
    Bytes recv(send.size());
    communicator.all_reduce(send.data(), recv.data(), count, type, reduction);
    ASSERT_EQ(recv, expected) << what;
    communicator.all_reduce(send.data(), send.data(), count, type, reduction);
    ASSERT_EQ(send, expected) << what << ", in place";
  }
}

TEST(MpiTransfers, AllReduceEqualsANaiveLoop) {
  Communicator communicator = world();
  for (const DataType type : all_types) {
    expect_naive_all_reduce(communicator, type, 1027,
                            {std::begin(all_reductions), std::end(all_reductions)});
    expect_naive_all_reduce(communicator, type, 1, {Reduction::sum, Reduction::avg});
  }
}

/// Each way of reducing, in shared memory and around a ring of nodes, with pieces and remainders.
TEST(MpiTransfers, LargeAllReducesEqualANaiveLoop) {
  for (const int ranks_per_node : {0, 1}) {
    Communicator communicator =
        mpi_communicator(MPI_COMM_WORLD, {.timeout_ms = 20'000, .ranks_per_node = ranks_per_node});
    for (const DataType type :
         {DataType::float32, DataType::float64, DataType::bfloat16, DataType::int32}) {
      for (const std::size_t count : {std::size_t{33'001}, std::size_t{700'003}}) {
        expect_naive_all_reduce(communicator, type, count,
                                {Reduction::sum, Reduction::avg, Reduction::max});
      }
    }
    for (const DataType type : {DataType::uint32, DataType::int64}) {
      expect_naive_all_reduce(communicator, type, 140'003, {Reduction::prod, Reduction::min});
    }
  }
}

/// The ring has ranks of a node stand together, wherever they are numbered.
TEST(Ring, GoesFromNodeToNode) {
  const std::vector<int> nodes{0, 1, 0, 1, 2};
  std::vector<int> order;
  int rank = 0;
  for (std::size_t i = 0; i < nodes.size(); ++i) {
    order.push_back(rank);
    const int next = Ring(nodes, rank).right(1);
    EXPECT_EQ(Ring(nodes, next).left(1), rank);
    EXPECT_EQ(Ring(nodes, 0).right(i), rank);
    rank = next;
  }
  EXPECT_EQ(rank, 0) << "it closes";
  EXPECT_EQ(order, (std::vector<int>{0, 2, 1, 3, 4}));
  EXPECT_TRUE(Ring(nodes, 0).spans_nodes());
  EXPECT_FALSE(Ring({0, 0, 0}, 1).spans_nodes());
}

/// They would go different ways about the same allreduce.
TEST(MpiTransfers, RanksThatWereToldDifferentNodesAllHearIt) {
  const int rank = world().rank();
  const Outcome outcome_here = outcome([&] {
    static_cast<void>(mpi_communicator(
        MPI_COMM_WORLD, {.timeout_ms = 20'000, .ranks_per_node = rank == 0 ? 1 : 2}));
  });
  if (world().size() == 1) return;
  EXPECT_EQ(outcome_here.code, Result::mismatch) << outcome_here;
  EXPECT_TRUE(outcome_here.mentions("found 1 on rank 0 and 2 on rank 1")) << outcome_here;
}

/// The same bits on every rank, and in every call, whatever order they were added up in.
TEST(MpiTransfers, LargeAllReducesAreTheSameEverywhere) {
  for (const int ranks_per_node : {0, 1}) {
    Communicator communicator =
        mpi_communicator(MPI_COMM_WORLD, {.timeout_ms = 20'000, .ranks_per_node = ranks_per_node});
    constexpr std::size_t count = 300'007;
    std::mt19937_64 random(static_cast<std::uint64_t>(communicator.rank()));
    std::vector<float> own(count), sum(count), again(count), first(count);
    for (float& x : own) x = std::normal_distribution<float>()(random);
    communicator.all_reduce(own.data(), sum.data(), count, DataType::float32, Reduction::sum);
    communicator.all_reduce(own.data(), again.data(), count, DataType::float32, Reduction::sum);
    EXPECT_EQ(sum, again);
    first = sum;
    MPI_Bcast(first.data(), static_cast<int>(count), MPI_FLOAT, 0, MPI_COMM_WORLD);
    EXPECT_EQ(sum, first);
  }
}

TEST(MpiTransfers, AllReduceInPieces) {
  Communicator communicator = world();
  constexpr std::size_t count = (std::size_t{1} << 22) + 5;
  const int ranks = communicator.size();
  for (const DataType type : {DataType::uint8, DataType::bfloat16}) {
    Bytes data(count * size_of(type));
    for (std::size_t i = 0; i < count; ++i) {
      const auto value = static_cast<std::uint8_t>(i % 16);
      if (type == DataType::uint8) {
        data[i] = static_cast<std::byte>(value);
      } else {
        store(type, data.data(), i, value);
      }
    }
    communicator.all_reduce(data.data(), data.data(), count, type, Reduction::sum);
    for (std::size_t i = 0; i < count; ++i) {
      const int expected = static_cast<int>(i % 16) * ranks;
      const int found = type == DataType::uint8 ? static_cast<int>(data[i])
                                                : static_cast<int>(load(type, data.data(), i));
      ASSERT_EQ(found, expected) << "entry " << i;
    }
  }
}

TEST(MpiTransfers, MaximumAndMinimumKeepANanOfAnyRank) {
  Communicator communicator = world();
  for (const Reduction reduction : {Reduction::max, Reduction::min}) {
    std::vector<float> x(static_cast<std::size_t>(communicator.size()), 1.0f);
    x[static_cast<std::size_t>(communicator.rank())] = std::nanf("");
    communicator.all_reduce(x.data(), x.data(), x.size(), DataType::float32, reduction);
    for (const float value : x) EXPECT_TRUE(std::isnan(value));
  }
}

TEST(MpiTransfers, SixteenBitAveragesDoNotOverflow) {
  Communicator communicator = world();
  std::vector<std::uint16_t> x(10);
  for (std::size_t i = 0; i < x.size(); ++i) store(DataType::float16, x.data(), i, 60'000);
  communicator.all_reduce(x.data(), x.data(), x.size(), DataType::float16, Reduction::avg);
  EXPECT_EQ(load(DataType::float16, x.data(), 9), 60'000);
}

/// Results of every step of one rank, as bytes.
std::vector<Bytes> train(Communicator& communicator, DataType type, Reduction reduction) {
  constexpr std::size_t count = 70'001;
  SparseAllreduce tensor(communicator, "layer", count, type,
                         {.density = 0.003, .mu = 1.5, .reduction = reduction});
  std::vector<Bytes> results;
  for (std::uint64_t step = 0; step < 6; ++step) {
    const auto rank = static_cast<std::uint64_t>(communicator.rank());
    const Bytes gradient = random_entries(type, count, 100 * step + rank);
    Bytes result(gradient.size());
    tensor(gradient.data(), result.data(), 4.0);
    results.push_back(std::move(result));
  }
  return results;
}

TEST(MpiTransfers, SparseAllreduceGivesTheBitsOfTheLocalTransport) {
  for (const Reduction reduction : {Reduction::sum, Reduction::avg}) {
    Communicator communicator = world();
    std::vector<std::vector<Bytes>> found;
    for (const DataType type : floating_types) {
      found.push_back(train(communicator, type, reduction));
    }
    on_local_ranks(communicator.size(), [&](Communicator& local) {
      for (std::size_t i = 0; i < found.size(); ++i) {
        ASSERT_EQ(train(local, floating_types[i], reduction), found[i])
            << sparccl::name_of(floating_types[i]) << ", rank " << local.rank();
      }
    });
  }
}

TEST(MpiTransfers, SparseAllgatherHandsOutEveryRanksList) {
  const Communicator communicator = world();
  SparseAllgather gather(communicator, "rows", 1000, DataType::float32, 10);
  const auto number = static_cast<std::size_t>(communicator.rank() + 1);
  std::vector<std::uint64_t> positions(number);
  std::vector<float> values(number, static_cast<float>(communicator.rank()));
  std::iota(positions.begin(), positions.end(), number * 100);
  gather(positions, values.data());
  for (int rank = 0; rank < communicator.size(); ++rank) {
    const auto base = static_cast<std::uint64_t>(rank + 1);
    ASSERT_EQ(gather.positions(rank).size(), base);
    EXPECT_EQ(gather.positions(rank)[0], base * 100);
    EXPECT_EQ(static_cast<const float*>(gather.values(rank))[0], static_cast<float>(rank));
  }
}

TEST(MpiTransfers, SlotsAndShards) {
  const Communicator communicator = world();
  check_exchanges(all_of(communicator.impl()->transport()));
}

/// More than the transport takes of a shard at a time, and a last shard that is longer.
TEST(MpiTransfers, ShardsInPieces) {
  const Communicator communicator = world();
  const Among all = all_of(communicator.impl()->transport());
  check_reduce_scatter(all, all.size() * 65'536 + all.size() - 1, DataType::float64);
  check_all_gather_shards(all, all.size() * 65'536 + all.size() - 1, 8);
}

TEST(MpiTransfers, GroupsOfRanksExchangeAmongThemselves) {
  const Communicator communicator = world();
  for (int size = 1; size <= communicator.size(); ++size) {
    if (communicator.size() % size == 0) check_groups(communicator.impl()->transport(), size);
  }
}

TEST(MpiTransfers, UnequalGroupsAreRefusedOnEveryRank) {
  const Communicator communicator = world();
  Transport& transport = communicator.impl()->transport();
  if (communicator.size() >= 3) {
    const Outcome found =
        outcome([&] { static_cast<void>(transport.group(transport.rank() == 0 ? 0 : 1)); });
    EXPECT_EQ(found.code, Result::invalid_argument) << found;
    EXPECT_TRUE(found.mentions("expected groups of one size")) << found;
  }
  const Outcome found = outcome([&] { static_cast<void>(transport.group(-1)); });
  EXPECT_EQ(found.code, Result::invalid_argument) << found;
  check_all_gather(all_of(transport), 8);  // nothing has happened
}

TEST(MpiTransfers, NodesAreThoseOfSharedMemoryOrAsTheOptionsSay) {
  Communicator communicator = world();
  const auto size = static_cast<std::size_t>(communicator.size());
  EXPECT_EQ(communicator.impl()->transport().nodes(), std::vector<int>(size, 0));  // one host
  communicator = mpi_communicator(MPI_COMM_WORLD, {.timeout_ms = 20'000, .ranks_per_node = 2});
  std::vector<int> expected;
  for (int r = 0; r < communicator.size(); ++r) expected.push_back(r / 2);
  Transport& transport = communicator.impl()->transport();
  EXPECT_EQ(transport.nodes(), expected);
  if (size == 4) {
    EXPECT_EQ(transport.group(transport.rank() % 2)->nodes(), (std::vector<int>{0, 1}));
    EXPECT_EQ(transport.group(transport.rank() / 2)->nodes(), (std::vector<int>{0, 0}));
  }
  const Outcome found =
      outcome([] { static_cast<void>(mpi_communicator(MPI_COMM_WORLD, {.ranks_per_node = -2})); });
  EXPECT_EQ(found.code, Result::invalid_argument) << found;
}

TEST(MpiTransfers, GroupsOfPartOfTheWorld) {
  int rank = 0;
  MPI_Comm_rank(MPI_COMM_WORLD, &rank);
  MPI_Comm half = MPI_COMM_NULL;
  MPI_Comm_split(MPI_COMM_WORLD, rank % 2, -rank, &half);
  {
    Communicator communicator = mpi_communicator(half, {.timeout_ms = 20'000});
    std::int32_t members = 1;
    communicator.all_reduce(&members, &members, 1, DataType::int32, Reduction::sum);
    EXPECT_EQ(members, communicator.size());
  }
  MPI_Comm_free(&half);
}

}  // namespace
}  // namespace sparccl::test
