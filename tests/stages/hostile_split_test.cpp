// Packets of hostile or broken peers in both exchanges of Path::split: each is told by the rank
// that sent it, and never a write outside.
#include <cstring>
#include <random>

#include <gtest/gtest.h>

#include "data.hpp"
#include "split_rig.hpp"

namespace sparccl::test {
namespace {

using Into = SplitRank::Into;

constexpr int ranks_of_all = 3;
// The range of rank 0 has two blocks, the last of 1,000 entries, and fewer than a packet may have.
constexpr std::size_t range_length = block_size + 1'000;
const Shape shape{.ranks = ranks_of_all, .count = 3 * range_length, .k = 600};

class HostileSplit : public testing::Test {
 protected:
  HostileSplit() {
    for (int r = 0; r < ranks_of_all; ++r) {
      ranks_.emplace_back(backends().front(), plan_of(shape, r));
    }
    for (int r = 0; r < ranks_of_all; ++r) {
      Vector g = make_data(Pattern::gaussian, shape.count, shape.type, std::uint64_t(r));
      for (std::size_t i = 0; i < 20; ++i) g[range_length - 1 - i] = 100;
      ranks_[std::size_t(r)].produce(g);
      ranks_[std::size_t(r)].scatter();
    }
    exchange_sent(ranks_);
    for (SplitRank& r : ranks_) r.reduce();
    exchange_reduced(ranks_);
    sent_ = rank().incoming(1);
    reduced_ = rank().reduced(1);
    answer_ = rank().reduced(0);
  }

  SplitRank& rank() { return ranks_[0]; }
  const Plan& sent() { return rank().split().sent; }
  const Plan& reduced() { return rank().split().reduced; }

  /// The packet, changed by f(its view).
  template <class F>
  Bytes with(const Plan& plan, Bytes bytes, F f) {
    Packet packet = wire::range_view(plan, bytes.data());
    f(packet);
    return bytes;
  }

  /// Rank 0's answer to what rank 1 sent: whom it blames.
  void expect_blamed(const Bytes& bytes, Problem problem, const std::string& what) {
    SCOPED_TRACE(what);
    const Vector residual = rank().residual();
    rank().set_incoming(1, bytes);
    rank().reduce();
    const RangePacket answer = read_packet(reduced(), rank().reduced(0));
    EXPECT_EQ(answer.flags, packet_bad);
    EXPECT_EQ(answer.blame, blame_of(1, problem));
    EXPECT_EQ(answer.entries, 0u);
    EXPECT_EQ(answer.wanted, 0u);
    EXPECT_TRUE(answer.positions.empty());
    EXPECT_EQ(rank().residual(), residual);
    rank().set_incoming(1, sent_);
    rank().reduce();
    EXPECT_EQ(rank().reduced(0), answer_);
  }

  /// What rank 0 makes of a reduced packet of rank 1's.
  void expect_verdict(const Bytes& bytes, Verdict::Kind kind, int blamed, Problem problem,
                      const std::string& what) {
    SCOPED_TRACE(what);
    const Vector residual = rank().residual();
    const EntryList history = rank().history();
    const std::uint64_t step = rank().step(), call = rank().call();
    rank().set_reduced(1, bytes);
    const Verdict verdict = rank().judge();
    EXPECT_EQ(verdict.kind, kind);
    EXPECT_EQ(verdict.rank, blamed);
    EXPECT_EQ(verdict.problem, problem);
    EXPECT_EQ(rank().step(), step);
    EXPECT_EQ(rank().call(), call + 1);
    EXPECT_EQ(rank().residual(), residual);
    EXPECT_EQ(rank().history(), history);
    EXPECT_EQ(rank().reduced(1), bytes);
    rank().set_reduced(1, reduced_);
    EXPECT_EQ(rank().judge().kind, Verdict::Kind::sum);
  }
  void expect_bad(const Bytes& bytes, Problem problem, const std::string& what) {
    expect_verdict(bytes, Verdict::Kind::bad_packet, 1, problem, what);
  }

  std::vector<SplitRank> ranks_;
  Bytes sent_, reduced_, answer_;
};

/// The same damage in either exchange.
struct Damage {
  const char* what;
  Problem problem;
  std::function<void(Packet&, std::uint64_t length)> change;
};

const Damage damages[] = {
    {"the fingerprint", Problem::header,
     [](Packet& p, std::uint64_t) {
       auto* bytes = const_cast<std::byte*>(static_cast<const std::byte*>(p.identity));
       bytes[3] ^= std::byte{16};
     }},
    {"of another call", Problem::header, [](Packet& p, std::uint64_t) { *p.call += 1; }},
    {"flags that are not known", Problem::flags, [](Packet& p, std::uint64_t) { *p.flags = 4; }},
    {"both flags", Problem::flags, [](Packet& p, std::uint64_t) { *p.flags = 3; }},
    {"not finite, and entries", Problem::entries,
     [](Packet& p, std::uint64_t) { *p.flags = packet_non_finite; }},
    {"too many entries", Problem::entries, [](Packet& p, std::uint64_t) { *p.entries = 100'000; }},
    {"entries without end", Problem::entries,
     [](Packet& p, std::uint64_t) { *p.entries = ~std::uint64_t{0}; }},
    {"an entry less than listed", Problem::table_over,
     [](Packet& p, std::uint64_t) { *p.entries -= 1; }},
    {"an entry more than listed", Problem::table_under,
     [](Packet& p, std::uint64_t) { p.per_block[1] -= 1; }},
    {"a table without end", Problem::table_over,
     [](Packet& p, std::uint64_t) { p.per_block[0] = ~0u; }},
    {"a table that wraps", Problem::table_over,
     [](Packet& p, std::uint64_t) {
       p.per_block[0] += 0x80000000u;
       p.per_block[1] += 0x80000000u;
     }},
    {"beyond the range, not the packet", Problem::position,
     [](Packet& p, std::uint64_t length) {
       p.offsets[*p.entries - 1] = static_cast<std::uint16_t>(length % block_size);
     }},
    {"descending", Problem::position, [](Packet& p, std::uint64_t) { p.offsets[5] = 0; }},
    {"twice", Problem::position, [](Packet& p, std::uint64_t) { p.offsets[1] = p.offsets[0]; }},
    {"wanted by more than there are", Problem::entries,
     [](Packet& p, std::uint64_t) { *p.wanted = 1'000'000; }},
    {"wanted without end", Problem::entries,
     [](Packet& p, std::uint64_t) { *p.wanted = ~std::uint64_t{0}; }},
};

TEST_F(HostileSplit, SentPacketsAreChecked) {
  for (const Damage& damage : damages) {
    expect_blamed(with(sent(), sent_, [&](Packet& p) { damage.change(p, range_length); }),
                  damage.problem, damage.what);
  }
  for (const float bad : {std::nanf(""), std::numeric_limits<float>::infinity()}) {
    expect_blamed(with(sent(), sent_,
                       [&](Packet& p) { static_cast<float*>(p.values)[*p.entries / 2] = bad; }),
                  Problem::value, "a value that is not finite");
  }
  expect_blamed(with(sent(), sent_, [](Packet& p) { *p.flags = packet_bad; }), Problem::flags,
                "a flag of reduced packets");
  expect_blamed(Bytes(sent_.size(), std::byte{0xff}), Problem::header, "garbage");
}

TEST_F(HostileSplit, ReducedPacketsAreChecked) {
  for (const Damage& damage : damages) {
    expect_bad(with(reduced(), reduced_, [&](Packet& p) { damage.change(p, range_length); }),
               damage.problem, damage.what);
  }
  expect_bad(Bytes(reduced_.size(), std::byte{0xff}), Problem::header, "garbage");
}

TEST_F(HostileSplit, BlameIsChecked) {
  const auto blames = [&](std::uint32_t flags, std::uint32_t blamed, std::uint64_t entries) {
    return with(reduced(), reduced_, [&](Packet& p) {
      *p.flags = flags;
      *p.blame = blamed;
      *p.entries = entries;
      std::fill_n(p.per_block, reduced().blocks(), 0u);
    });
  };
  expect_verdict(blames(packet_bad, blame_of(2, Problem::position), 0), Verdict::Kind::bad_packet,
                 2, Problem::position, "a rank");
  expect_verdict(blames(packet_non_finite, blame_of(2, Problem::none), 0),
                 Verdict::Kind::non_finite, 2, Problem::none, "a rank that is not finite");
  expect_bad(blames(packet_bad, blame_of(3, Problem::position), 0), Problem::flags, "no rank");
  expect_bad(blames(packet_bad, ~0u, 0), Problem::flags, "no rank, by far");
  expect_bad(blames(packet_bad, blame_of(0, Problem::none), 0), Problem::flags, "for nothing");
  expect_bad(blames(packet_bad, blame_of(0, Problem::value) + 1, 0), Problem::flags, "for what?");
  expect_bad(blames(packet_bad, blame_of(0, Problem::value), 7), Problem::flags, "with entries");
  expect_bad(blames(packet_non_finite, blame_of(3, Problem::none), 0), Problem::flags,
             "no rank for what is not finite");
}

/// The first is blamed, and what is bad wins over what is not finite.
TEST_F(HostileSplit, TheFirstBadPacketIsBlamed) {
  const Bytes empty = with(sent(), sent_, [&](Packet& p) {
    *p.flags = packet_non_finite;
    *p.entries = 0;
    std::fill_n(p.per_block, sent().blocks(), 0u);
  });
  const Bytes table = with(sent(), rank().incoming(2), [](Packet& p) { *p.entries -= 1; });
  const Bytes sound = rank().incoming(2);
  rank().set_incoming(1, empty);
  rank().reduce();
  EXPECT_EQ(read_packet(reduced(), rank().reduced(0)).flags, packet_non_finite);
  EXPECT_EQ(read_packet(reduced(), rank().reduced(0)).blame, blame_of(1, Problem::none));
  rank().set_incoming(2, table);
  rank().reduce();
  EXPECT_EQ(read_packet(reduced(), rank().reduced(0)).blame, blame_of(2, Problem::table_over));
  rank().set_incoming(2, sound);
  // A value of rank 1's is found after the tables of all ranks.
  rank().set_incoming(
      1, with(sent(), sent_, [](Packet& p) { static_cast<float*>(p.values)[0] = std::nanf(""); }));
  rank().set_incoming(2, table);
  rank().reduce();
  EXPECT_EQ(read_packet(reduced(), rank().reduced(0)).blame, blame_of(1, Problem::value));
}

/// What is let through can be reduced and joined without a write outside.
TEST_F(HostileSplit, SurvivesRandomDamage) {
  std::mt19937_64 random(9);
  std::size_t taken = 0;
  const auto damaged = [&](Bytes bytes, std::size_t from) {
    for (std::uint64_t i = 0; i <= random() % 3; ++i) {
      bytes[from + random() % (bytes.size() - from)] = std::byte(random() & 0xff);
    }
    return bytes;
  };
  for (int round = 0; round < 240; ++round) {
    const std::size_t from = round % 2 == 0 ? 16 : 40;
    const Bytes bad_sent = damaged(sent_, from);
    const Bytes bad_reduced = damaged(reduced_, from);
    if (!my_turn(std::size_t(round / 2), 8)) continue;
    rank().set_counters(0, 0);  // judge() goes on to the next call, of which the others are not
    rank().set_incoming(1, bad_sent);
    rank().reduce();
    const RangePacket answer = read_packet(reduced(), rank().reduced(0));
    ASSERT_LE(answer.entries, reduced().k);
    ASSERT_EQ(answer.positions.size(), answer.entries);
    ASSERT_TRUE(std::is_sorted(answer.positions.begin(), answer.positions.end()));
    rank().set_incoming(1, sent_);
    rank().reduce();
    rank().set_reduced(1, bad_reduced);
    if (rank().judge().kind != Verdict::Kind::sum) continue;
    ++taken;
    const Merged merged = rank().join(round % 4 < 2 ? Into::sparse : Into::dense, Reduction::sum);
    ASSERT_TRUE(merged.canaries);
    ASSERT_TRUE(std::is_sorted(merged.positions.begin(), merged.positions.end()));
  }
  EXPECT_GE(taken, 4u);
}

}  // namespace
}  // namespace sparccl::test
