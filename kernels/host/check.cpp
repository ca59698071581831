// Reads packets of peers without trusting a byte, before anything is written.
#include <algorithm>
#include <cstring>

#include "host/host_stages.hpp"
#include "host/workspace.hpp"
#include "visit.hpp"

namespace sparccl::host {
namespace {

/// Strictly ascending, and inside the block. No early exit: it vectorises.
bool offsets_sound(const std::uint16_t* offsets, std::size_t size, std::size_t block_length) {
  if (size == 0) return true;
  bool descends = false;
  for (std::size_t i = 1; i < size; ++i) descends |= offsets[i] <= offsets[i - 1];
  return !descends && offsets[size - 1] < block_length;
}

template <class Wire>
bool values_finite(const Wire* values, std::size_t size) {
  bool bad = false;
  for (std::size_t i = 0; i < size; ++i) bad |= !is_finite(Convert<Wire>::up(values[i]));
  return !bad;
}

/// What is wrong with a packet; null if nothing is.
const char* problem_of(const Plan& plan, const Packet& packet, const Packet& own) {
  if (packet.identity_bytes != own.identity_bytes ||
      std::memcmp(packet.identity, own.identity, own.identity_bytes) != 0) {
    return "its header is not one of this call";
  }
  if (*packet.flags != 0 && *packet.flags != packet_non_finite) return "unknown flags";
  const std::size_t most = *packet.flags == packet_non_finite ? 0 : plan.k;
  const std::size_t expected = *packet.entries;
  if (expected > most || (plan.exact && expected != most)) return "it does not hold k entries";
  std::size_t entries = 0;
  for (std::size_t block = 0; block < plan.blocks(); ++block) {
    const std::size_t in_block = packet.per_block[block];
    const std::size_t length = std::min(block_size, plan.count - block * block_size);
    if (in_block > length || in_block > expected - entries) {
      return "its block table counts more entries than there are";
    }
    if (!offsets_sound(packet.offsets + entries, in_block, length)) {
      return "a position lies outside the tensor or out of order";
    }
    entries += in_block;
  }
  if (entries != expected) return "its block table counts fewer entries than it holds";
  if (!plan.exact) return nullptr;
  const bool finite = visit_floating(plan.wire, [&]<class Wire>(Tag<Wire>) {
    return values_finite(static_cast<const Wire*>(packet.values), expected);
  });
  return finite ? nullptr : "a value is not finite";
}

}  // namespace

Verdict check(const Plan& plan, std::span<const Packet> packets) {
  const Packet& own = packets[static_cast<std::size_t>(plan.rank)];
  Verdict verdict;
  for (std::size_t rank = 0; rank < packets.size(); ++rank) {
    const char* problem = problem_of(plan, packets[rank], own);
    if (problem != nullptr) return {Verdict::Kind::bad_packet, static_cast<int>(rank), problem};
    if (*packets[rank].flags == packet_non_finite && verdict.kind == Verdict::Kind::sum) {
      verdict = {Verdict::Kind::non_finite, static_cast<int>(rank), ""};
    }
  }
  return verdict;
}

}  // namespace sparccl::host
