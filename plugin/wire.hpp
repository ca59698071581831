// The packet: its layout, units and limits. Little-endian, 64-bit sizes, no other file knows it.
//
//   Header            128 bytes
//   per_block         u32 [blocks]      entries in each block of 65,536
//   offsets           u16 [k]           in position order
//   values            wire type [k]
//
// Each part starts at a multiple of 8 bytes and the whole is a multiple of 64, so that packets of
// one plan have one size and a plain allgather moves them.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

#include "stages.hpp"

namespace sparccl::wire {

/// Largest tensor: sizes of its packets at any density and world size fit 64 bits.
inline constexpr std::size_t max_count = std::size_t{1} << 48;

struct Layout {
  std::size_t per_block = 0;  // byte offsets from the start of the packet
  std::size_t offsets = 0;
  std::size_t values = 0;
  std::size_t bytes = 0;  // of the whole packet
};

[[nodiscard]] Layout layout(const Plan& plan);

/// Takes the packet at `bytes` apart. No check: its content is not read.
[[nodiscard]] Packet view(const Plan& plan, void* bytes);

/// Bytes at the start of a packet that are the same on every rank: magic, version, a fingerprint of
/// the plan, and the number of the call. The rest (flags, entries, lists) is written by
/// Backend::pack.
[[nodiscard]] std::size_t identity_bytes() noexcept;

/// Writes them. bytes: [identity_bytes()], host memory.
void write_identity(const Plan& plan, std::uint64_t call, void* bytes);

// Packets of Path::split: the same lists for the positions of one range, behind a shorter header,
// because each rank sends as many as there are ranks.
//
//   Header            40 bytes          fingerprint of the plan, call, entries, wanted, flags,
//   blame per_block, offsets, values          as above, counted from where the range begins
//
// A multiple of 16 bytes.

[[nodiscard]] Layout range_layout(const Plan& plan);
[[nodiscard]] Packet range_view(const Plan& plan, void* bytes);
[[nodiscard]] std::size_t range_identity_bytes() noexcept;
/// The number of the call is written by the backend.
void write_range_identity(const Plan& plan, void* bytes);

/// Which field of a header differs from that of a sound one: "magic: expected ..., found ...".
/// Empty if none does. Both in host memory.
[[nodiscard]] std::string describe_identity(const void* sound, const void* bytes);

}  // namespace sparccl::wire
