// What is particular to Path::split: capacities, moving ranges, what an owner says of bad packets.
#include <cmath>
#include <cstring>
#include <filesystem>

#include <unistd.h>

#include <gtest/gtest.h>

#include "sparse_allreduce.hpp"
#include "split_plan.hpp"
#include "tampered.hpp"
#include "transport/local.hpp"
#include "wire.hpp"
#include "world.hpp"

namespace sparccl::test {
namespace {

/// However many ranks: the bytes of at most 6 k entries of 6 bytes each.
TEST(Split, SendsBytesOfSixTimesKAtMost) {
  for (const int ranks : {2, 4, 8, 16, 64}) {
    for (const std::size_t k : {std::size_t{1'000}, std::size_t{25'000}}) {
      Plan plan;
      plan.count = 1'000 * k;
      plan.k = k;
      plan.world_size = ranks;
      const SplitPlan split = make_split_plan(plan);
      const auto others = static_cast<std::size_t>(ranks - 1);
      const std::size_t bytes =
          others * (wire::range_layout(split.sent).bytes + wire::range_layout(split.reduced).bytes);
      EXPECT_LE(bytes, 6 * k * 6) << ranks << " " << k;
    }
  }
  World world({.ranks = 4, .count = 100'000, .k = 1'000, .path = Path::split});
  static_cast<void>(world.step(std::vector<Vector>(4, Vector(100'000))));
  EXPECT_LE(world.tensor(0).stats().wire_bytes, 36'000u);
  EXPECT_GT(world.tensor(0).stats().wire_bytes, 6'000u);
}

/// All entries fall into one range: it takes what it has room for, the largest; the rest stays.
TEST(Split, KeepsTheLargestOfARangeThatOverflows) {
  const Shape shape{.ranks = 4, .count = 4'000, .k = 400, .path = Path::split};
  World world(shape);
  std::vector<Vector> gradients(4, Vector(shape.count));
  for (std::size_t r = 0; r < 4; ++r) {
    for (std::size_t i = 0; i < 500; ++i) gradients[r][i] = 1 + static_cast<double>(i);
  }
  const Vector result = to_doubles(shape.type, world.step(gradients)[0].data(), shape.count);
  const SplitPlan split = make_split_plan(world.tensor(0).impl().plan());
  for (std::size_t i = 0; i < shape.count; ++i) {
    const bool sent = i < 500 && i >= 500 - split.sent.k;
    ASSERT_EQ(result[i], sent ? 4 * (1.0 + static_cast<double>(i)) : 0.0) << i;
  }
  EXPECT_EQ(world.tensor(0).stats().last_entries, split.sent.k);
  EXPECT_EQ(history_entries_of(world.tensor(0)), split.sent.k);
}

/// Ranks that send other positions than each other: only the largest sums fit into what comes back.
TEST(Split, BringsTheLargestSums) {
  const Shape shape{.ranks = 8, .count = 8'000, .k = 160, .path = Path::split};
  World world(shape);
  std::vector<Vector> gradients(8, Vector(shape.count));
  for (std::size_t r = 0; r < 8; ++r) {
    for (std::size_t i = 0; i < 160; ++i) {
      gradients[r][50 * i + r] = 1 + static_cast<double>((i * 8 + r) % 100);
    }
  }
  const Vector result = to_doubles(shape.type, world.step(gradients)[0].data(), shape.count);
  const SplitPlan split = make_split_plan(world.tensor(0).impl().plan());
  for (std::size_t range = 0; range < 8; ++range) {
    std::size_t brought = 0;
    double least = 1e9, most_left = 0;
    for (std::size_t i = 1'000 * range; i < 1'000 * (range + 1); ++i) {
      double sum = 0;
      for (const Vector& gradient : gradients) sum += gradient[i];
      if (result[i] != 0) {
        ASSERT_EQ(result[i], sum);
        ++brought;
        least = std::min(least, sum);
      } else {
        most_left = std::max(most_left, sum);
      }
    }
    EXPECT_EQ(brought, split.reduced.k);
    EXPECT_LE(most_left, least);
  }
}

/// The ratio of RegTop-k is that of what was reduced, and of nothing that was not.
TEST(Split, RemembersWhatWasReduced) {
  Shape shape{.ranks = 5, .count = 3'000, .k = 100, .mu = 1, .path = Path::split};
  std::mt19937_64 random(77);
  World world(shape);
  const auto gradients = integer_gradients(shape, 50, random);
  const Vector result = to_doubles(shape.type, world.step(gradients)[0].data(), shape.count);
  for (int r = 0; r < shape.ranks; ++r) {
    const Memory& memory = world.tensor(r).impl().memory();
    const auto* ratios = static_cast<const float*>(memory.sent_ratios);
    ASSERT_EQ(memory.sent_per_block[0], world.tensor(r).stats().last_entries);
    for (std::size_t i = 0; i < memory.sent_per_block[0]; ++i) {
      const std::size_t at = memory.sent_offsets[i];
      const double own = gradients[static_cast<std::size_t>(r)][at];
      ASSERT_NEAR(ratios[i], std::fabs(result[at] / own), 1e-5 * ratios[i] + 1e-6);
      ASSERT_EQ(static_cast<const float*>(memory.residual)[at], 0.0f);
    }
  }
}

/// A tensor whose first twentieth gets all of the large gradients: the ranges move there, and what
/// they turn away becomes little.
TEST(Split, BalancesItsRanges) {
  const Shape shape{.ranks = 4, .count = 20'000, .k = 200, .path = Path::split};
  World world(shape);
  std::mt19937_64 random(78);
  const auto gradients = [&] {
    auto all = integer_gradients(shape, 1, random);
    for (Vector& gradient : all) {
      for (std::size_t i = 0; i < shape.count / 20; ++i) gradient[i] = 100.0 + double(random() % 9);
    }
    return all;
  };
  const auto bounds = [&](int rank) {
    const std::uint64_t* at = world.tensor(rank).impl().memory().bounds;
    return std::vector<std::uint64_t>(at, at + shape.ranks + 1);
  };
  std::vector<std::uint64_t> sent;
  for (std::uint64_t t = 0; t < 2 * balance_every + 1; ++t) {
    static_cast<void>(world.step(gradients()));
    sent.push_back(world.tensor(0).stats().last_entries);
    if (t > 0) continue;
    EXPECT_EQ(bounds(0), (std::vector<std::uint64_t>{0, 5000, 10000, 15000, 20000}));
  }
  for (int r = 1; r < shape.ranks; ++r) ASSERT_EQ(bounds(r), bounds(0));
  EXPECT_LT(bounds(0)[1], 1'000u);
  EXPECT_TRUE(std::ranges::is_sorted(bounds(0)));
  EXPECT_LT(sent[10], 80u);
  EXPECT_GT(sent.back(), 120u);
}

/// Found in review: small tensors, whose ranges grow and shrink.
TEST(Split, LosesNothingWhileItsRangesMove) {
  struct {
    int ranks;
    std::size_t count, k;
  } constexpr cases[] = {
      {2, 512, 5}, {2, 1'000, 10}, {3, 3'000, 30}, {4, 10'000, 10}, {2, 16'384, 164}};
  std::mt19937_64 random(79);
  for (const auto& [ranks, count, k] : cases) {
    const Shape shape{.ranks = ranks, .count = count, .k = k, .path = Path::split};
    SCOPED_TRACE(describe(shape));
    World world(shape);
    Vector given(count), taken(count);
    for (std::uint64_t t = 0; t < 2 * balance_every + 9; ++t) {
      const auto gradients = integer_gradients(shape, 50, random);
      for (const Vector& gradient : gradients) {
        for (std::size_t i = 0; i < count; ++i) given[i] += gradient[i];
      }
      const std::vector<Bytes> results = world.step(gradients);
      for (const Bytes& result : results) ASSERT_EQ(result, results[0]) << "step " << t;
      const Vector result = to_doubles(shape.type, results[0].data(), count);
      for (std::size_t i = 0; i < count; ++i) taken[i] += result[i];
    }
    for (const Vector& residual : world.residuals()) {
      for (std::size_t i = 0; i < count; ++i) taken[i] += residual[i];
    }
    ASSERT_EQ(taken, given);
  }
}

/// Found in review: a rank that was refused for another k goes back to that of the others, or one
/// is told alone what it does already. Its ranges are theirs still.
TEST(Split, KeepsItsRangesThroughWhatChangesNothing) {
  const Shape shape{.ranks = 2, .count = 1'000, .k = 10, .path = Path::split};
  World world(shape);
  std::mt19937_64 random(80);
  Vector given(shape.count), taken(shape.count);
  const auto steps = [&](std::uint64_t number) {
    for (std::uint64_t t = 0; t < number; ++t) {
      auto gradients = integer_gradients(shape, 50, random);
      for (Vector& gradient : gradients) {
        for (std::size_t i = 0; i < 100; ++i) gradient[i] *= 20;  // ranges move there
        for (std::size_t i = 0; i < shape.count; ++i) given[i] += gradient[i];
      }
      const Vector result = to_doubles(shape.type, world.step(gradients)[0].data(), shape.count);
      for (std::size_t i = 0; i < shape.count; ++i) taken[i] += result[i];
    }
  };
  steps(balance_every + 40);
  world.tensor(1).set_k(20);
  world.each([&](SparseAllreduce& tensor, int) {
    expect_error([&] { static_cast<void>(run(tensor, Bytes(4'000))); }, Result::mismatch,
                 {"fc1.weight", "k 10", "k 20"});
  });
  world.tensor(1).set_k(10);
  steps(balance_every);
  world.tensor(0).set_k(10);
  world.tensor(0).set_mu(shape.mu);
  steps(balance_every);
  for (const Vector& residual : world.residuals()) {
    for (std::size_t i = 0; i < shape.count; ++i) taken[i] += residual[i];
  }
  EXPECT_EQ(taken, given);
}

/// One that has left the path and come back has ranges of equal length, which are not the others'.
TEST(Split, RefusesARankWhoseRangesBeganAtAnotherCall) {
  const Shape shape{.ranks = 3, .count = 1'000, .k = 10, .path = Path::split};
  World world(shape);
  static_cast<void>(world.step(std::vector<Vector>(3, Vector(shape.count, 1.0))));
  world.tensor(2).set_path(Path::allgather);
  world.tensor(2).set_path(Path::split);
  world.each([&](SparseAllreduce& tensor, int) {
    expect_error([&] { static_cast<void>(run(tensor, Bytes(4'000))); }, Result::mismatch,
                 {"fc1.weight", "path split begun at step 0", "path split begun at step 1"});
  });
  world.each([&](SparseAllreduce& tensor, int) {  // the way out
    tensor.set_path(Path::allgather);
    tensor.set_path(Path::split);
  });
  static_cast<void>(world.step(std::vector<Vector>(3, Vector(shape.count, 1.0))));
}

/// Three ranks whose transports are in the test's hands, after a step.
class HostilePeerOfASplit : public testing::Test {
 protected:
  static constexpr std::size_t count = 30'000;  // ranges of 10,000

  HostilePeerOfASplit() {
    for (auto& transport : make_local_transports(3, {})) {
      auto tampered = std::make_unique<Tampered>(std::move(transport));
      transports_.push_back(tampered.get());
      communicators_.emplace_back(std::move(tampered));
      tensors_.push_back(std::make_unique<SparseAllreduce>(communicators_.back(), "fc1.weight",
                                                           count, DataType::float32,
                                                           Options{.k = 300, .path = Path::split}));
    }
    on_each(communicators_, [&](Communicator& c) { call(c); });
    split_ = make_split_plan(tensors_[0]->impl().plan());
  }

  void call(Communicator& communicator) {
    const auto rank = static_cast<std::size_t>(communicator.rank());
    const Bytes gradient = to_bytes(DataType::float32, make_integers(count, 50, rank + 1));
    Bytes result(gradient.size());
    (*tensors_[rank])(gradient.data(), result.data());
  }

  /// What rank 2 sent to rank 1's range, or what rank 1 gets of rank 2's.
  using Change = std::function<void(const Packet& packet, std::byte* bytes)>;

  /// Rank 1 finds it, and tells: all ranks throw the same, and their states are as before.
  void expect_all_refuse(const Change& change, const std::string& word) {
    transports_[1]->on_all_to_all = [&](std::byte* slots, std::size_t bytes) {
      change(wire::range_view(split_.sent, slots + 2 * bytes), slots + 2 * bytes);
    };
    on_each(communicators_, [&](Communicator& communicator) {
      const SparseAllreduce& tensor = *tensors_[static_cast<std::size_t>(communicator.rank())];
      const Bytes before = state_of(tensor);
      expect_error([&] { call(communicator); }, Result::bad_packet,
                   {"fc1.weight", "rank 2 sent a bad packet", word});
      EXPECT_EQ(state_of(tensor), before);
      EXPECT_EQ(communicator.async_error(), Result::bad_packet);
    });
  }

  /// Rank 1 alone is misled, and refuses.
  void expect_rank_1_refuses(const Change& change, const std::string& word) {
    transports_[1]->on_gather = [&](std::byte* slots, std::size_t bytes) {
      change(wire::range_view(split_.reduced, slots + 2 * bytes), slots + 2 * bytes);
    };
    on_each(communicators_, [&](Communicator& communicator) {
      if (communicator.rank() != 1) return call(communicator);
      const Bytes before = state_of(*tensors_[1]);
      expect_error([&] { call(communicator); }, Result::bad_packet,
                   {"fc1.weight", "rank 2 sent a bad packet", word});
      EXPECT_EQ(state_of(*tensors_[1]), before);
    });
  }

  std::vector<Tampered*> transports_;
  std::vector<Communicator> communicators_;
  std::vector<std::unique_ptr<SparseAllreduce>> tensors_;
  SplitPlan split_;
};

TEST_F(HostilePeerOfASplit, SendsAPositionBehindTheRange) {
  expect_all_refuse([](const Packet& p, std::byte*) { p.offsets[*p.entries - 1] = 10'000; },
                    "position");
}
TEST_F(HostilePeerOfASplit, SendsANaN) {
  expect_all_refuse([](const Packet& p, std::byte*) { static_cast<float*>(p.values)[3] = NAN; },
                    "finite");
}
TEST_F(HostilePeerOfASplit, SendsMoreThanThereIsRoomFor) {
  expect_all_refuse([&](const Packet& p, std::byte*) { *p.entries = split_.sent.k + 1; },
                    "entries");
}
TEST_F(HostilePeerOfASplit, WantsMoreThanItMaySend) {
  expect_all_refuse([](const Packet& p, std::byte*) { *p.wanted = 301; }, "entries");
}
TEST_F(HostilePeerOfASplit, SendsFlagsThatThereAreNot) {
  expect_all_refuse([](const Packet& p, std::byte*) { *p.flags = packet_bad; }, "flags");
}
TEST_F(HostilePeerOfASplit, SendsThePacketOfAnotherCall) {
  expect_all_refuse([](const Packet& p, std::byte*) { *p.call = 0; }, "header");
}
TEST_F(HostilePeerOfASplit, CountsInBlocksBehindTheRange) {
  expect_all_refuse(
      [](const Packet& p, std::byte*) {
        --p.per_block[0];
        ++p.per_block[1];
      },
      "table");
}
TEST_F(HostilePeerOfASplit, HandsOnAPositionBehindItsRange) {
  expect_rank_1_refuses([](const Packet& p, std::byte*) { p.offsets[*p.entries - 1] = 10'000; },
                        "position");
}
TEST_F(HostilePeerOfASplit, HandsOnNothingOfTheKind) {
  expect_rank_1_refuses(
      [&](const Packet&, std::byte* bytes) {
        std::memset(bytes, 0xee, wire::range_layout(split_.reduced).bytes);
      },
      "header");
}
TEST_F(HostilePeerOfASplit, BlamesARankThatThereIsNot) {
  expect_rank_1_refuses(
      [](const Packet& p, std::byte*) {
        *p.flags = packet_bad;
        *p.entries = 0;
        *p.blame = blame_of(3, Problem::header);
      },
      "flags");
}
TEST_F(HostilePeerOfASplit, ClaimsDemandBeyondReason) {
  expect_rank_1_refuses([](const Packet& p, std::byte*) { *p.wanted = ~std::uint64_t{0}; },
                        "entries");
}

/// As many steps in two runs: their ranges differ, and a rank of one may not call with the
/// other's.
TEST(Split, RefusesRangesOfAnotherRun) {
  const Shape shape{.ranks = 2, .count = 20'000, .k = 200, .path = Path::split};
  const auto file =
      std::filesystem::path(testing::TempDir()) / ("sparccl_ranges_" + std::to_string(getpid()));
  World one(shape), other(shape);
  std::vector<Vector> low(2, Vector(shape.count)), high = low;
  for (std::size_t i = 0; i < 300; ++i) {
    for (std::size_t r = 0; r < 2; ++r) low[r][i] = high[r][shape.count - 1 - i] = 1;
  }
  for (std::uint64_t t = 0; t < balance_every; ++t) {
    static_cast<void>(one.step(low));
    static_cast<void>(other.step(high));
  }
  other.tensor(1).save(file);
  one.tensor(1).load(file);
  one.each([&](SparseAllreduce& tensor, int) {
    expect_error([&] { static_cast<void>(run(tensor, Bytes(80'000))); }, Result::mismatch,
                 {"fc1.weight", "ranges of a saved state", "rank 1"});
  });
  one.tensor(0).save(file);
  one.tensor(0).load(file);  // its own: as if it had not
  World again(shape);
  again.each([&](SparseAllreduce& tensor, int rank) {
    const auto of_rank = file.string() + std::to_string(rank);
    other.tensor(rank).save(of_rank);
    tensor.load(of_rank);
    std::filesystem::remove(of_rank);
  });
  EXPECT_EQ(again.step(low), other.step(low)) << "all ranks of one run may go on";
  std::filesystem::remove(file);
}

}  // namespace
}  // namespace sparccl::test
