// Slots and shards over the NCCL transport: what a rank holds before and after.
#pragma once

#include "nccl_calls.hpp"

namespace sparccl::test {

/// Buffers of one rank among `members` (ranks of the whole), for calls of `count` entries.
class Exchanges {
 public:
  Exchanges(Transport& transport, std::vector<int> members, std::size_t count)
      : transport_(transport),
        members_(std::move(members)),
        count_(count),
        shard_(count, transport.size(), transport.rank()),
        send_(4 * members_.size() * count + 4),
        recv_(4 * members_.size() * count + 4),
        dense_(4 * count + 4),
        sums_(4 * count + 4),
        shards_(4 * count + 4) {}

  /// Fills what is sent, and forgets what was received. The device's streams are idle.
  void set(int call) {
    call_ = call;
    std::vector<std::uint32_t> slots;
    for (const int to : members_) {
      for (std::size_t i = 0; i < count_; ++i) slots.push_back(letter(self(), to, i));
    }
    send_.set(slots);
    recv_.set(std::vector<std::uint32_t>(slots.size() + 1, nothing));
    std::vector<std::uint32_t> own(count_);
    for (std::size_t i = 0; i < count_; ++i) own[i] = letter(self(), 0, i);
    dense_.set(own);
    sums_.set(std::vector<std::uint32_t>(count_ + 1, nothing));
    std::vector<std::uint32_t> part(count_ + 1, nothing);
    for (std::size_t i = 0; i < shard_.count; ++i) {
      part[shard_.begin + i] = letter(self(), 1, shard_.begin + i);
    }
    shards_.set(part);
  }

  void enqueue(cudaStream_t stream) {
    transport_.all_to_all(send_.get(), recv_.get(), 4 * count_, stream);
    transport_.reduce_scatter(dense_.get(), sums_.get(), count_, DataType::uint32, stream);
    transport_.all_gather_shards(shards_.get(), count_, 4, stream);
  }

  void expect_done() const {
    std::vector<std::uint32_t> slots, sums(count_ + 1, nothing), all;
    for (const int from : members_) {
      for (std::size_t i = 0; i < count_; ++i) slots.push_back(letter(from, self(), i));
    }
    slots.push_back(nothing);
    for (std::size_t i = 0; i < shard_.count; ++i) {
      sums[i] = 0;
      for (const int from : members_) sums[i] += letter(from, 0, shard_.begin + i);
    }
    for (std::size_t r = 0; r < members_.size(); ++r) {
      const Shard theirs(count_, transport_.size(), static_cast<int>(r));
      for (std::size_t i = 0; i < theirs.count; ++i) {
        all.push_back(letter(members_[r], 1, theirs.begin + i));
      }
    }
    all.push_back(nothing);
    EXPECT_EQ(slots, recv_.values<std::uint32_t>()) << "slots of rank " << self();
    EXPECT_EQ(sums, sums_.values<std::uint32_t>()) << "reduced shard of rank " << self();
    EXPECT_EQ(all, shards_.values<std::uint32_t>()) << "gathered shards of rank " << self();
  }

  /// All of it at once.
  void expect_exchanged(int call, cudaStream_t stream) {
    set(call);
    enqueue(stream);
    cuda::check(cudaStreamSynchronize(stream));
    expect_done();
  }

 private:
  static constexpr std::uint32_t nothing = 7;

  [[nodiscard]] int self() const { return members_[static_cast<std::size_t>(transport_.rank())]; }
  [[nodiscard]] std::uint32_t letter(int from, int to, std::size_t i) const {
    return static_cast<std::uint32_t>(call_ * 10'000'000 + from * 1'000'000 + to * 100'000) +
           static_cast<std::uint32_t>(i);
  }

  Transport& transport_;
  const std::vector<int> members_;
  const std::size_t count_;
  const Shard shard_;
  DeviceBytes send_, recv_, dense_, sums_, shards_;
  int call_ = 0;
};

/// All ranks of a communicator.
inline std::vector<int> up_to(int ranks) {
  std::vector<int> all(static_cast<std::size_t>(ranks));
  std::iota(all.begin(), all.end(), 0);
  return all;
}

}  // namespace sparccl::test
