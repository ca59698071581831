// What Path::split needs besides a tensor's workspace, and walks through lists in position order.
#pragma once

#include <algorithm>
#include <array>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <limits>

#include "host/workspace.hpp"
#include "stages.hpp"

namespace sparccl::host {

template <class A>
struct SplitScratch {
  std::byte* sums = nullptr;           // a Workspace<A> of split.sent
  Memory forgotten;                    // what merge() remembers of the packets of a range
  std::uint64_t* positions = nullptr;  // [room] of the sums of a range
  A* values = nullptr;                 // [room]
  A* magnitudes = nullptr;             // [most] to find the k-th largest of
  std::uint64_t* bounds = nullptr;     // [world_size + 1]
  std::size_t bytes = 0;

  /// memory: what Backend::split_bytes asked for, zeroed once; null to learn `bytes`.
  SplitScratch(const SplitPlan& split, void* memory) : base_(static_cast<std::byte*>(memory)) {
    const Plan& sent = split.sent;
    const std::size_t room = sent.sparse_capacity();
    take(sums, Workspace<A>(sent, nullptr).bytes);
    take(forgotten.sent_per_block, sent.blocks());
    take(forgotten.sent_offsets, sent.k);
    A* ratios = nullptr;
    take(ratios, sent.k);
    forgotten.sent_ratios = ratios;
    take(positions, room);
    take(values, room);
    take(magnitudes, std::max(room, split.whole.k));
    take(bounds, static_cast<std::size_t>(sent.world_size) + 1);
  }

 private:
  template <class T>
  void take(T*& part, std::size_t count) {
    if (base_ != nullptr) part = reinterpret_cast<T*>(base_ + bytes);
    bytes += (count * sizeof(T) + 63) / 64 * 64;
  }
  std::byte* base_;
};

/// Moves to the front those of `size` magnitudes that may be among the k largest, as a sample
/// tells, and the rest away: how many. At least k.
template <class A>
std::size_t thin_out(A* magnitudes, std::size_t size, std::size_t k) {
  constexpr std::size_t sampled = 512;
  if (size < 16 * sampled || k > size / 4) return size;
  std::array<A, sampled> sample;
  for (std::size_t i = 0; i < sampled; ++i) sample[i] = magnitudes[i * (size / sampled)];
  const double rank = static_cast<double>(k) / static_cast<double>(size) * sampled;
  const auto nth = sample.begin() + static_cast<std::ptrdiff_t>(rank + 4 * std::sqrt(rank) + 2);
  std::nth_element(sample.begin(), nth, sample.end(), std::greater<>());
  const A least = *nth;
  std::size_t kept = 0;
  for (std::size_t i = 0; i < size; ++i) kept += magnitudes[i] >= least ? 1 : 0;
  if (kept < k) return size;
  kept = 0;
  for (std::size_t i = 0; i < size; ++i) {
    const A magnitude = magnitudes[i];
    magnitudes[kept] = magnitude;
    kept += magnitude >= least ? 1 : 0;
  }
  return kept;
}

/// Of `size` magnitudes, the k largest: those above the threshold, and the first of those at it.
template <class A>
class Best {
 public:
  /// magnitudes: [size], overwritten.
  Best(A* magnitudes, std::size_t size, std::size_t k) : all_(size <= k) {
    if (all_ || k == 0) return;
    size = thin_out(magnitudes, size, k);
    std::nth_element(magnitudes, magnitudes + (k - 1), magnitudes + size, std::greater<>());
    threshold_ = magnitudes[k - 1];
    const auto above = std::count_if(magnitudes, magnitudes + k,
                                     [&](A magnitude) { return magnitude > threshold_; });
    ties_ = k - static_cast<std::size_t>(above);
  }

  /// In position order.
  [[nodiscard]] bool takes(A magnitude) {
    if (all_ || magnitude > threshold_) return true;
    if (magnitude != threshold_ || ties_ == 0) return false;
    --ties_;
    return true;
  }

 private:
  bool all_;
  A threshold_ = std::numeric_limits<A>::infinity();
  std::size_t ties_ = 0;
};

/// Walks through a list; its block table may be changed behind it.
struct Cursor {
  const std::uint32_t* per_block;
  const std::uint16_t* offsets;
  std::size_t entries;
  std::size_t index = 0;
  std::size_t block = 0;
  std::size_t block_end = 0;

  Cursor(const std::uint32_t* table, const std::uint16_t* list, std::size_t size)
      : per_block(table), offsets(list), entries(size), block_end(size == 0 ? 0 : table[0]) {}

  /// Where the entry at `index` lies. There must be one.
  [[nodiscard]] std::uint64_t position() {
    while (index == block_end) block_end += per_block[++block];
    return std::uint64_t{block} * block_size + offsets[index];
  }
  [[nodiscard]] bool before(std::uint64_t end) { return index < entries && position() < end; }
};

/// Appends entries, in position order, to the lists of a packet.
template <class Value>
class Writer {
 public:
  Writer(const Packet& packet, std::size_t blocks)
      : packet_(packet), values_(static_cast<Value*>(packet.values)) {
    std::fill_n(packet.per_block, blocks, 0u);
  }
  void add(std::uint64_t position, Value value) {
    ++packet_.per_block[position / block_size];
    packet_.offsets[size_] = static_cast<std::uint16_t>(position % block_size);
    values_[size_++] = value;
  }
  [[nodiscard]] std::size_t size() const { return size_; }

 private:
  const Packet& packet_;
  Value* values_;
  std::size_t size_ = 0;
};

}  // namespace sparccl::host
