// Reads packets of peers without trusting a byte, before anything is written.
#include <algorithm>
#include <cstring>

#include "host/host_stages.hpp"
#include "host/workspace.hpp"
#include "visit.hpp"

namespace sparccl {
namespace host {
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

}  // namespace

Problem problem_of(const Plan& plan, const Packet& packet, const Packet& own) {
  if (packet.identity_bytes != own.identity_bytes ||
      std::memcmp(packet.identity, own.identity, own.identity_bytes) != 0) {
    return Problem::header;
  }
  if (*packet.flags != 0 && *packet.flags != packet_non_finite) return Problem::flags;
  const std::size_t most = *packet.flags == packet_non_finite ? 0 : plan.k;
  const std::size_t expected = *packet.entries;
  if (expected > most || (plan.exact && expected != most)) return Problem::entries;
  std::size_t entries = 0;
  for (std::size_t block = 0; block < plan.blocks(); ++block) {
    const std::size_t in_block = packet.per_block[block];
    const std::size_t length = std::min(block_size, plan.count - block * block_size);
    if (in_block > length || in_block > expected - entries) {
      return Problem::table_over;
    }
    if (!offsets_sound(packet.offsets + entries, in_block, length)) {
      return Problem::position;
    }
    entries += in_block;
  }
  if (entries != expected) return Problem::table_under;
  if (!plan.finite) return Problem::none;
  const bool finite = visit_floating(plan.wire, [&]<class Wire>(Tag<Wire>) {
    return values_finite(static_cast<const Wire*>(packet.values), expected);
  });
  return finite ? Problem::none : Problem::value;
}

}  // namespace host

Verdict check_on_host(const Plan& plan, std::span<const Packet> packets) {
  const Packet& own = packets[static_cast<std::size_t>(plan.rank)];
  Verdict verdict{Verdict::Kind::sum};
  for (std::size_t rank = 0; rank < packets.size(); ++rank) {
    const Problem problem = host::problem_of(plan, packets[rank], own);
    if (problem != Problem::none) {
      return {Verdict::Kind::bad_packet, static_cast<std::int32_t>(rank), problem};
    }
    if (*packets[rank].flags == packet_non_finite && verdict.kind == Verdict::Kind::sum) {
      verdict = {Verdict::Kind::non_finite, static_cast<std::int32_t>(rank)};
    }
  }
  return verdict;
}

namespace host {
namespace {

void add_to(Report& report, const Step& step, const WorkspaceHeader& header, std::uint64_t sent) {
  report.steps += 1;
  report.non_finite_steps += header.verdict.kind == Verdict::Kind::non_finite ? 1 : 0;
  report.entries += report.last_entries = sent;
  report.candidates += report.last_candidates = header.passed;
  report.fallbacks += header.fallbacks;
  report.wire_bytes += step.wire_bytes;
  report.dense_bytes += step.dense_bytes;
}

}  // namespace

void conclude(const Step& step, const Memory& memory, void* workspace, const Verdict& verdict,
              std::uint64_t sent) {
  auto& header = *static_cast<WorkspaceHeader*>(workspace);  // its first member
  header.verdict = memory.totals->verdict = verdict;
  if (verdict.kind != Verdict::Kind::bad_packet) add_to(*memory.totals, step, header, sent);
  if (verdict.kind == Verdict::Kind::sum) ++*memory.step;
  ++*memory.call;
  *memory.report = *memory.totals;
}

void check(const Plan& plan, const Step& step, const Memory& memory, void* workspace,
           std::span<const Packet> packets) {
  conclude(step, memory, workspace, check_on_host(plan, packets),
           *packets[static_cast<std::size_t>(plan.rank)].entries);
}

}  // namespace host
}  // namespace sparccl
