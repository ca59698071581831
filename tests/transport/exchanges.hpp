// What every transport of hosts must do with slots, shards and groups: each rank calls these.
#pragma once

#include <gtest/gtest.h>

#include <memory>
#include <numeric>
#include <string>
#include <vector>

#include "naive.hpp"
#include "transport/transport.hpp"

namespace sparccl::test {

/// A transport and which ranks of the whole are its ranks, in its order.
struct Among {
  Transport& transport;
  std::vector<int> members;

  [[nodiscard]] std::size_t rank() const { return static_cast<std::size_t>(transport.rank()); }
  [[nodiscard]] std::size_t size() const { return members.size(); }
  [[nodiscard]] int self() const { return members[rank()]; }
};

inline Among all_of(Transport& transport) {
  std::vector<int> members(static_cast<std::size_t>(transport.size()));
  std::iota(members.begin(), members.end(), 0);
  return {transport, std::move(members)};
}

/// A byte that tells apart who sent it to whom, and where it stands.
inline std::byte letter(int from, int to, std::size_t i) {
  return static_cast<std::byte>(static_cast<std::size_t>(from * 31 + to * 7) + i % 249);
}

inline void check_all_gather(const Among& on, std::size_t bytes) {
  Bytes slots(on.size() * bytes + 1, std::byte{0xee});
  Bytes expected = slots;
  for (std::size_t r = 0; r < on.size(); ++r) {
    for (std::size_t i = 0; i < bytes; ++i) {
      expected[r * bytes + i] = letter(on.members[r], 0, i);
      if (r == on.rank()) slots[r * bytes + i] = expected[r * bytes + i];
    }
  }
  on.transport.all_gather(slots.data(), bytes, nullptr);
  ASSERT_EQ(slots, expected) << bytes << " bytes, rank " << on.self();
}

inline void check_all_to_all(const Among& on, std::size_t bytes) {
  Bytes send(on.size() * bytes);
  Bytes recv(on.size() * bytes + 1, std::byte{0xee});
  Bytes expected = recv;
  for (std::size_t r = 0; r < on.size(); ++r) {
    for (std::size_t i = 0; i < bytes; ++i) {
      send[r * bytes + i] = letter(on.self(), on.members[r], i);
      expected[r * bytes + i] = letter(on.members[r], on.self(), i);
    }
  }
  const Bytes before = send;
  on.transport.all_to_all(send.data(), recv.data(), bytes, nullptr);
  ASSERT_EQ(send, before);
  ASSERT_EQ(recv, expected) << bytes << " bytes, rank " << on.self();
}

/// In rank order, 16-bit floats rounded once: the bits of a naive loop.
inline void check_reduce_scatter(const Among& on, std::size_t count, DataType type) {
  std::vector<Bytes> data;
  for (const int member : on.members) {
    data.push_back(random_entries(type, count, static_cast<std::uint64_t>(member) + 1));
  }
  const Bytes sums = naive_reduce(data, type, Reduction::sum);
  const Shard shard(count, static_cast<int>(on.size()), static_cast<int>(on.rank()));
  const std::size_t width = size_of(type);
  Bytes recv(shard.count * width + 1, std::byte{0xee});
  on.transport.reduce_scatter(data[on.rank()].data(), recv.data(), count, type, nullptr);
  const auto begin = sums.begin() + static_cast<std::ptrdiff_t>(shard.begin * width);
  Bytes expected(begin, begin + static_cast<std::ptrdiff_t>(shard.count * width));
  expected.push_back(std::byte{0xee});
  ASSERT_EQ(recv, expected) << sparccl::name_of(type) << ", " << count << " entries, shard of rank "
                            << on.self();
}

inline void check_all_gather_shards(const Among& on, std::size_t count, std::size_t width) {
  Bytes data(count * width + 1, std::byte{0xee});
  const auto fill = [&](Bytes& bytes, std::size_t r) {
    const Shard shard(count, static_cast<int>(on.size()), static_cast<int>(r));
    for (std::size_t i = shard.begin * width; i < (shard.begin + shard.count) * width; ++i) {
      bytes[i] = letter(on.members[r], 1, i);
    }
  };
  Bytes expected = data;
  fill(data, on.rank());
  for (std::size_t r = 0; r < on.size(); ++r) fill(expected, r);
  on.transport.all_gather_shards(data.data(), count, width, nullptr);
  ASSERT_EQ(data, expected) << count << " entries of " << width << " bytes, rank " << on.self();
}

inline void check_all_reduce(const Among& on) {
  const std::int32_t own = 1 << on.self();
  std::int32_t sum = 0;
  on.transport.all_reduce(&own, &sum, 1, DataType::int32, Reduction::sum, nullptr);
  std::int32_t expected = 0;
  for (const int member : on.members) expected += 1 << member;
  ASSERT_EQ(sum, expected);
}

inline void check_exchanges(const Among& on) {
  for (const std::size_t bytes : {0u, 1u, 3u, 64u, 1027u}) check_all_to_all(on, bytes);
  for (const std::size_t count : {0u, 1u, 7u, 8u, 1003u}) {
    check_reduce_scatter(on, count, DataType::float32);
    check_all_gather_shards(on, count, 4);
  }
  for (const DataType type : all_types) check_reduce_scatter(on, 131, type);
  for (const std::size_t width : {1u, 2u, 8u}) check_all_gather_shards(on, 131, width);
}

/// Groups of `size` neighbours, and of those that are equally far from the first of theirs, used in
/// turn with each other and with the whole: as a hierarchical exchange uses them.
inline void check_groups(Transport& whole, int size) {
  const int ranks = whole.size();
  ASSERT_EQ(ranks % size, 0);
  const int node = whole.rank() / size;
  const int place = whole.rank() % size;
  const std::unique_ptr<Transport> inside = whole.group(node);
  const std::unique_ptr<Transport> across = whole.group(place);
  Among in{*inside, {}};
  Among over{*across, {}};
  for (int r = 0; r < size; ++r) in.members.push_back(node * size + r);
  for (int r = 0; r < ranks / size; ++r) over.members.push_back(r * size + place);
  ASSERT_EQ(inside->size(), size);
  ASSERT_EQ(inside->rank(), place);
  ASSERT_EQ(across->size(), ranks / size);
  ASSERT_EQ(across->rank(), node);
  for (int round = 0; round < 3; ++round) {
    for (const Among& on : {in, over, all_of(whole)}) {
      check_all_gather(on, static_cast<std::size_t>(64 + round));
      check_all_to_all(on, 65);
      check_reduce_scatter(on, 203, DataType::bfloat16);
      check_all_gather_shards(on, 203, 2);
      check_all_reduce(on);
      std::vector<int> slots(on.size(), -1);
      slots[on.rank()] = on.self();
      on.transport.meet(slots.data(), sizeof(int), nullptr);
      ASSERT_EQ(slots, on.members);
    }
  }
}

}  // namespace sparccl::test
