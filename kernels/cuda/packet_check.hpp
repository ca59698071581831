// Reads packets of peers without trusting a byte: which the first thing is that is wrong with them.
#pragma once

#include "cuda/arguments.hpp"
#include "cuda/block.hpp"

namespace sparccl::cuda {

/// What packets are held against, and where what was learned of them goes.
struct PacketCheck {
  Packets packets;
  int own_rank;     // whose identity is the right one
  std::uint64_t k;  // entries, at most
  bool exact;       // or just as many
  bool finite;
  std::uint64_t* starts;  // [world_size][stride] where the entries of each tile begin
  std::uint64_t stride;

  template <class T>
  [[nodiscard]] __device__ T* of(T* part, int rank) const {
    return packets.of(part, static_cast<std::size_t>(rank));
  }
};

struct CheckShared {
  WarpTotals totals;
  std::uint32_t bad;
};

/// The least rank is blamed, for the first thing that is wrong with its packet.
__device__ inline void blame(Header* header, int rank, std::uint32_t what) {
  atomic_min(&header->worst, static_cast<std::uint64_t>(rank) << 32 | what);
}
__device__ inline void blame(Header* header, int rank, Problem problem) {
  blame(header, rank, static_cast<std::uint32_t>(problem));
}

/// By one block: whether a packet bears the header of this call.
__device__ inline bool is_of_this_call(const PacketCheck& in, int rank, CheckShared& shared) {
  const Packet& packet = in.packets.first;
  const auto* own = static_cast<const std::uint8_t*>(in.of(packet.identity, in.own_rank));
  const auto* its = static_cast<const std::uint8_t*>(in.of(packet.identity, rank));
  __syncthreads();  // whoever read it has done so
  if (threadIdx.x == 0) shared.bad = 0;
  __syncthreads();
  for (unsigned i = threadIdx.x; i < packet.identity_bytes; i += blockDim.x) {
    if (load(own + i) != load(its + i)) atomic_or(&shared.bad, 1u);
  }
  __syncthreads();
  return shared.bad == 0;
}

/// By one block: flags, number of entries and block table of a packet of `count` positions, and
/// where each block's entries begin: in the slots of its first tile.
template <std::size_t tile_entries>
__device__ Problem check_table(const PacketCheck& in, int rank, std::uint64_t count,
                               CheckShared& shared) {
  const Packet& packet = in.packets.first;
  const std::uint32_t flags = load(in.of(packet.flags, rank));
  if (flags != 0 && flags != packet_non_finite) return Problem::flags;
  const std::uint64_t most = flags == packet_non_finite ? 0 : in.k;
  const std::uint64_t expected = load(in.of(packet.entries, rank));
  if (expected > most || (in.exact && expected != most)) return Problem::entries;

  constexpr std::uint64_t parts = block_size / tile_entries;
  const std::uint64_t blocks = (count + block_size - 1) / block_size;
  std::uint64_t* const starts = in.starts + static_cast<std::uint64_t>(rank) * in.stride;
  __syncthreads();  // whoever read it has done so
  if (threadIdx.x == 0) shared.bad = 0;
  __syncthreads();
  std::uint64_t begin = 0;
  for (std::uint64_t base = 0; base < blocks; base += blockDim.x) {
    const std::uint64_t b = base + threadIdx.x;
    const bool there = b < blocks;
    const std::uint64_t entries = there ? load(in.of(packet.per_block, rank) + b) : 0;
    const std::uint64_t left = count - b * block_size;
    if (there && entries > (left < block_size ? left : block_size)) atomic_or(&shared.bad, 1u);
    std::uint64_t total = 0;
    const std::uint64_t before = begin + exclusive_sum(entries, shared.totals, total);
    if (there) store(starts + b * parts, before);
    begin += total;
    const bool over = shared.bad != 0 || begin > expected;
    __syncthreads();  // before the next round may set it
    if (over) return Problem::table_over;
  }
  if (begin != expected) return Problem::table_under;
  if (threadIdx.x == 0) store(starts + (count + tile_entries - 1) / tile_entries, begin);
  return Problem::none;
}

/// By one warp, of a packet whose table is sound: offsets and values of one block, and where its
/// tiles begin. What is wrong, as seen by one lane.
template <class Wire, std::size_t tile_entries>
__device__ Problem check_block(const PacketCheck& in, int rank, std::uint64_t count,
                               std::uint64_t block) {
  constexpr std::uint64_t parts = block_size / tile_entries;
  const std::uint64_t tiles = (count + tile_entries - 1) / tile_entries;
  const std::uint16_t* const offsets = in.of(in.packets.first.offsets, rank);
  const auto* values = static_cast<const Wire*>(in.of(in.packets.first.values, rank));
  std::uint64_t* const starts = in.starts + static_cast<std::uint64_t>(rank) * in.stride;
  const std::uint64_t next = (block + 1) * parts;
  const std::uint64_t first = load_shared(starts + block * parts);
  const std::uint64_t last = load_shared(starts + (next < tiles ? next : tiles));
  const std::uint64_t left = count - block * block_size;
  const std::uint64_t length = left < block_size ? left : block_size;
  const std::uint64_t in_block = next < tiles ? parts : tiles - block * parts;
  bool bad_position = false, bad_value = false;
  // One round more than there are entries: the tiles behind the last begin at the end.
  for (std::uint64_t i = first + lane(); i <= last; i += warp_size) {
    const std::uint64_t offset = i < last ? load(offsets + i) : block_size;
    const std::uint64_t before = i > first ? load(offsets + i - 1) : 0;
    if (i < last) {
      bad_position |= offset >= length || (i > first && offset <= before);
      if (in.finite) bad_value |= !is_finite(Convert<Wire>::up(load(values + i)));
    }
    const std::uint64_t from = i > first ? before / tile_entries : 0;
    const std::uint64_t to = offset / tile_entries;
    for (std::uint64_t t = from + 1; t <= to && t < in_block; ++t) {
      store(starts + block * parts + t, i);
    }
  }
  if (bad_position) return Problem::position;
  return bad_value ? Problem::value : Problem::none;
}

}  // namespace sparccl::cuda
