// Winners go to the packet, losers back to the residual, which keeps 0 where a value was sent whole.
#include <algorithm>
#include <cstdint>
#include <type_traits>

#include "host/host_stages.hpp"
#include "host/select.hpp"
#include "host/workspace.hpp"
#include "visit.hpp"

namespace sparccl::host {
namespace {

/// Where what is left of a candidate goes: of a winner that was sent whole, nowhere. Arithmetic, for
/// winners and losers come in no order that a branch could be predicted by.
template <class A>
A* choose(bool first, A* one, A* other) {
  const auto a = reinterpret_cast<std::uintptr_t>(one);
  const auto b = reinterpret_cast<std::uintptr_t>(other);
  return reinterpret_cast<A*>(b ^ ((a ^ b) & -static_cast<std::uintptr_t>(first)));
}

template <class Wire, class A>
void pack(const Plan& plan, const Memory& memory, const Workspace<A>& work,
          const Packet& outgoing) {
  constexpr std::size_t ahead = 32;  // candidates; each that is written is a miss of its own
  constexpr bool whole = std::is_same_v<Wire, A>;
  auto* residual = static_cast<A*>(memory.residual);
  auto* values = static_cast<Wire*>(outgoing.values);
  Threshold<A> threshold{static_cast<Bits<A>>(work.header->threshold), work.header->ties};
  A nowhere = 0;

  std::size_t i = 0;
  std::size_t sent = 0;
  for (std::size_t block = 0; block < plan.blocks(); ++block) {
    A* const base = residual + block * block_size;
    const std::size_t before = sent;
    const std::size_t end = i + work.per_block[block];
    const std::size_t last = std::min(end + ahead, work.header->candidates);  // of what to fetch
    for (; i < end && sent < plan.k; ++i) {
      const std::size_t next = std::min(i + ahead, last);
      A* const far = base + (next < end ? 0 : block_size) + work.offsets[next];
      __builtin_prefetch(choose(whole && magnitude_bits(work.scores[next]) > threshold.bits,
                                &nowhere, far), 1);
      const A a = work.values[i];
      const Wire value = to_wire<Wire>(a);
      const bool wins = threshold.keeps(work.scores[i]);
      outgoing.offsets[sent] = work.offsets[i];
      values[sent] = value;
      if constexpr (whole) {
        *choose(wins, &nowhere, base + work.offsets[i]) = a;
      } else {
        base[work.offsets[i]] = a - (wins ? static_cast<A>(Convert<Wire>::up(value)) : A(0));
      }
      sent += wins ? 1 : 0;
    }
    for (; i < end; ++i) base[work.offsets[i]] = work.values[i];
    outgoing.per_block[block] = static_cast<std::uint32_t>(sent - before);
  }
  *outgoing.entries = sent;
  *outgoing.flags = 0;
}

}  // namespace

void pack(const Plan& plan, const Memory& memory, void* workspace, const Packet& outgoing) {
  visit_accumulator(plan.accumulator(), [&]<class A>(Tag<A>) {
    const Workspace<A> work(plan, workspace);
    if (!work.header->finite) {
      std::fill_n(outgoing.per_block, plan.blocks(), 0u);
      *outgoing.entries = 0;
      *outgoing.flags = packet_non_finite;
      return;
    }
    visit_floating(plan.wire, [&]<class Wire>(Tag<Wire>) {
      pack<Wire>(plan, memory, work, outgoing);
    });
  });
}

}  // namespace sparccl::host
