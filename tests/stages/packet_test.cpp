// Packets of hostile or broken peers: each is an error that names the rank, and never a write.
#include <cstring>
#include <random>

#include <gtest/gtest.h>

#include "data.hpp"
#include "rig.hpp"

namespace sparccl::test {
namespace {

constexpr std::size_t last_block = 1000;  // entries in the last, partial block
const Shape shape{.ranks = 3, .count = 2 * block_size + last_block, .k = 600};

class HostilePacket : public testing::Test {
 protected:
  HostilePacket() {
    for (int r = 0; r < shape.ranks; ++r)
      ranks_.emplace_back(backends().front(), plan_of(shape, r));
    for (int r = 0; r < shape.ranks; ++r) {
      // Some entries in each block, the last entry of the tensor among them.
      Vector g = make_data(Pattern::gaussian, shape.count, shape.type, std::uint64_t(r));
      for (std::size_t i = 0; i < 20; ++i) g[shape.count - 1 - i] = 100;
      ranks_[static_cast<std::size_t>(r)].produce(g);
    }
    exchange(ranks_);
    sound_ = rank().slot(1);
    EXPECT_EQ(rank().check().kind, Verdict::Kind::sum);
  }

  Rig& rank() { return ranks_[0]; }

  /// Byte offset of a part of rank 1's packet.
  template <class T>
  std::size_t offset_of(const T* part) {
    return static_cast<std::size_t>(reinterpret_cast<const std::byte*>(part) -
                                    static_cast<const std::byte*>(rank().packet(1).identity));
  }

  template <class T>
  Bytes with(const T* part, std::size_t i, T value) {
    Bytes bytes = sound_;
    std::memcpy(bytes.data() + offset_of(part) + i * sizeof(T), &value, sizeof(T));
    return bytes;
  }

  /// What rank 1's sound packet holds there.
  template <class T>
  T at(const T* part, std::size_t i) {
    T value;
    std::memcpy(&value, sound_.data() + offset_of(part) + i * sizeof(T), sizeof(T));
    return value;
  }

  /// Rank 1 is blamed, nothing is written, and its sound packet is still taken.
  void expect_refused(const Bytes& bytes, const std::string& what) {
    SCOPED_TRACE(what);
    const Vector residual = rank().residual();
    const Bytes history = rank().history();
    const Bytes own = rank().slot(0);
    rank().set_slot(1, bytes);
    const Verdict verdict = rank().check();
    EXPECT_EQ(verdict.kind, Verdict::Kind::bad_packet);
    EXPECT_EQ(verdict.rank, 1);
    EXPECT_NE(std::string(text_of(verdict.problem)), "");
    EXPECT_EQ(rank().residual(), residual);
    EXPECT_EQ(rank().history(), history);
    EXPECT_EQ(rank().slot(0), own);
    EXPECT_EQ(rank().slot(1), bytes);
    rank().set_slot(1, sound_);
    EXPECT_EQ(rank().check().kind, Verdict::Kind::sum);
  }

  std::vector<Rig> ranks_;
  Bytes sound_;
};

TEST_F(HostilePacket, EveryBitOfTheHeaderCounts) {
  const Packet& packet = rank().packet(1);
  const auto check_range = [&](std::size_t begin, std::size_t bytes, const char* field) {
    for (std::size_t i = begin; i < begin + bytes; ++i) {
      for (int bit = 0; bit < 8; ++bit) {
        Bytes bad = sound_;
        bad[i] ^= std::byte{1} << bit;
        rank().set_slot(1, bad);
        const Verdict verdict = rank().check();
        ASSERT_EQ(verdict.kind, Verdict::Kind::bad_packet)
            << field << " byte " << i << " bit " << bit;
        ASSERT_EQ(verdict.rank, 1);
      }
    }
  };
  check_range(0, packet.identity_bytes, "identity");
  check_range(offset_of(packet.entries), sizeof(*packet.entries), "entries");
  check_range(offset_of(packet.flags), sizeof(*packet.flags), "flags");
}

TEST_F(HostilePacket, CannotCountWrongly) {
  const Packet& packet = rank().packet(1);
  for (const std::uint64_t entries :
       {std::uint64_t{0}, std::uint64_t{shape.k - 1}, std::uint64_t{shape.k + 1},
        std::uint64_t{1} << 32, ~std::uint64_t{0}}) {
    expect_refused(with(packet.entries, 0, entries), "entries " + std::to_string(entries));
  }
  for (std::size_t block = 0; block < 3; ++block) {
    const std::uint32_t in_block = at(packet.per_block, block);
    for (const std::uint32_t wrong : {0u, in_block - 1, in_block + 1, std::uint32_t(shape.k),
                                      65'537u, 0x7fffffffu, ~0u, ~0u - in_block}) {
      if (wrong == in_block) continue;
      expect_refused(with(packet.per_block, block, wrong),
                     "block " + std::to_string(block) + " counts " + std::to_string(wrong));
    }
  }
  // Sums that wrap around 32 bits to the right total.
  Bytes wrapped = with(packet.per_block, 0, at(packet.per_block, 0) + 0x80000000u);
  const std::uint32_t other = at(packet.per_block, 1) + 0x80000000u;
  std::memcpy(wrapped.data() + offset_of(packet.per_block) + 4, &other, 4);
  expect_refused(wrapped, "a table that wraps");
}

/// Packets that are consistent in themselves, and too short.
TEST_F(HostilePacket, CannotHoldFewerEntriesThanAgreed) {
  const Packet& packet = rank().packet(1);
  Bytes less = with(packet.entries, 0, std::uint64_t{shape.k - 1});
  const std::uint32_t in_last = at(packet.per_block, 2) - 1;
  std::memcpy(less.data() + offset_of(packet.per_block) + 8, &in_last, 4);
  expect_refused(less, "one entry less");
  Bytes none = with(packet.entries, 0, std::uint64_t{0});
  std::memset(none.data() + offset_of(packet.per_block), 0, 3 * sizeof(std::uint32_t));
  expect_refused(none, "none");
}

TEST_F(HostilePacket, CannotPutAPositionOutOfOrderOrOutside) {
  const Packet& packet = rank().packet(1);
  const std::uint16_t* offsets = packet.offsets;
  expect_refused(with(offsets, 1, at(offsets, 0)), "a position twice");
  expect_refused(with(offsets, 0, at(offsets, 1)), "the first position twice");
  expect_refused(with(offsets, 5, std::uint16_t{0}), "descending");
  const std::size_t in_first = at(packet.per_block, 0);
  expect_refused(with(offsets, in_first - 2, at(offsets, in_first - 1)),
                 "twice at the end of a block");
  for (const std::uint16_t outside :
       {std::uint16_t(last_block), std::uint16_t(last_block + 1), std::uint16_t{65'535}}) {
    expect_refused(with(offsets, shape.k - 1, outside), "beyond the end of the tensor");
  }
}

TEST_F(HostilePacket, CannotMoveEntriesBetweenBlocks) {
  const Packet& packet = rank().packet(1);
  // More entries in the last block than it is long, and a total that is right.
  const Shape full{.ranks = 2, .count = block_size + 3, .k = 10};
  std::vector<Rig> two;
  for (int r = 0; r < 2; ++r) two.emplace_back(backends().front(), plan_of(full, r));
  for (Rig& r : two) r.produce(Vector(full.count, 1.0));
  exchange(two);
  Bytes shifted = two[0].slot(1);
  const std::uint32_t table[] = {6, 4};
  std::memcpy(shifted.data() + (reinterpret_cast<const std::byte*>(two[0].packet(1).per_block) -
                                static_cast<const std::byte*>(two[0].packet(1).identity)),
              table, sizeof(table));
  two[0].set_slot(1, shifted);
  EXPECT_EQ(two[0].check().kind, Verdict::Kind::bad_packet);
  // From the first block to the second: the offsets no longer ascend within one.
  Bytes moved = with(packet.per_block, 0, at(packet.per_block, 0) - 1);
  const std::uint32_t more = at(packet.per_block, 1) + 1;
  std::memcpy(moved.data() + offset_of(packet.per_block) + 4, &more, 4);
  const std::uint32_t in_first = at(packet.per_block, 0);
  if (at(packet.offsets, in_first - 1) >= at(packet.offsets, in_first)) {
    expect_refused(moved, "an entry of the next block");
  }
}

TEST_F(HostilePacket, CannotHoldValuesThatAreNotFinite) {
  const auto* values = static_cast<const float*>(rank().packet(1).values);
  for (const float bad :
       {std::numeric_limits<float>::quiet_NaN(), std::numeric_limits<float>::infinity(),
        -std::numeric_limits<float>::infinity()}) {
    for (const std::size_t i : {std::size_t{0}, shape.k / 2, shape.k - 1}) {
      expect_refused(with(values, i, bad), "a value that is not finite");
    }
  }
}

TEST_F(HostilePacket, CannotClaimANonFiniteStepAndSendEntries) {
  const Packet& packet = rank().packet(1);
  expect_refused(with(packet.flags, 0, packet_non_finite), "both");
  Bytes empty = with(packet.flags, 0, packet_non_finite);
  const std::uint64_t none = 0;
  std::memcpy(empty.data() + offset_of(packet.entries), &none, sizeof(none));
  expect_refused(empty, "a block table that counts entries");
  std::memset(empty.data() + offset_of(packet.per_block), 0, 3 * sizeof(std::uint32_t));
  rank().set_slot(1, empty);
  EXPECT_EQ(rank().check().kind, Verdict::Kind::non_finite);
  EXPECT_EQ(rank().check().rank, 1);
}

TEST_F(HostilePacket, BadWinsOverNonFinite) {
  Bytes empty = sound_;
  const Packet& packet = rank().packet(1);
  const std::uint32_t flag = packet_non_finite;
  std::memset(empty.data() + offset_of(packet.entries), 0, sizeof(*packet.entries));
  std::memcpy(empty.data() + offset_of(packet.flags), &flag, sizeof(flag));
  std::memset(empty.data() + offset_of(packet.per_block), 0, 3 * sizeof(std::uint32_t));
  rank().set_slot(1, empty);
  rank().set_slot(2, Bytes(sound_.size(), std::byte{0xff}));
  const Verdict verdict = rank().check();
  EXPECT_EQ(verdict.kind, Verdict::Kind::bad_packet);
  EXPECT_EQ(verdict.rank, 2);
}

TEST_F(HostilePacket, GarbageIsRefused) {
  for (const int byte : {0x00, 0xff, 0x5a}) {
    expect_refused(Bytes(sound_.size(), std::byte(byte)), "filled with " + std::to_string(byte));
  }
  Bytes stale = sound_;
  wire::write_identity(plan_of(shape, 1), 77, stale.data());
  expect_refused(stale, "of another step");
  Shape other = shape;
  other.mu = 0.5;
  Bytes foreign = sound_;
  wire::write_identity(plan_of(other, 1), 0, foreign.data());
  expect_refused(foreign, "of another mu");
}

/// Whatever check() lets through can be merged without a write outside.
TEST_F(HostilePacket, SurvivesRandomDamage) {
  std::mt19937_64 random(9);
  std::size_t taken = 0;
  for (int round = 0; round < 3000; ++round) {
    if (!my_turn(static_cast<std::size_t>(round / 2), 8)) continue;
    Bytes bytes = sound_;
    const std::size_t from = round % 2 == 0 ? 64 : offset_of(rank().packet(1).per_block);
    for (std::uint64_t i = 0; i <= random() % 4; ++i) {
      bytes[from + random() % (bytes.size() - from)] = std::byte(random() & 0xff);
    }
    rank().set_slot(1, bytes);
    const Verdict verdict = rank().check();
    if (verdict.kind == Verdict::Kind::bad_packet) continue;
    ++taken;
    if (taken % 20 != 0) continue;
    ASSERT_TRUE(rank().merge(verdict).canaries);
    const Merged sparse = rank().merge(verdict, Rig::Into::sparse);
    ASSERT_TRUE(sparse.canaries);
    ASSERT_TRUE(std::is_sorted(sparse.positions.begin(), sparse.positions.end()));
    ASSERT_LT(sparse.positions.back(), shape.count);
  }
  EXPECT_GE(taken, 20u);
}

}  // namespace
}  // namespace sparccl::test
