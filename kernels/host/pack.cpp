#include <algorithm>
#include <type_traits>

#include "host/host_stages.hpp"
#include "host/workspace.hpp"
#include "visit.hpp"

namespace sparccl::host {
namespace {

/// The residual holds 0 where an entry was selected: it gets what the wire type could not carry.
template <class Wire, class A>
void keep_rest(const Plan& plan, const Memory& memory, const Workspace<A>& work,
               const Wire* values) {
  constexpr std::size_t ahead = 32;  // entries, each a cache line of its own
  auto* residual = static_cast<A*>(memory.residual);
  Entries later(work.per_block, plan.blocks(), work.offsets);
  std::size_t position = 0;
  for (std::size_t i = 0; i < ahead && later.next(position); ++i) {
    __builtin_prefetch(residual + position, 1);
  }
  Entries now(work.per_block, plan.blocks(), work.offsets);
  for (std::size_t i = 0; now.next(position); ++i) {
    residual[position] = work.values[i] - static_cast<A>(Convert<Wire>::up(values[i]));
    if (later.next(position)) __builtin_prefetch(residual + position, 1);
  }
}

template <class Wire, class A>
void pack(const Plan& plan, const Memory& memory, const Workspace<A>& work,
          const Packet& outgoing) {
  const std::size_t entries = work.header->candidates;
  auto* values = static_cast<Wire*>(outgoing.values);
  std::transform(work.values, work.values + entries, values, to_wire<Wire, A>);
  if constexpr (!std::is_same_v<Wire, A>) keep_rest(plan, memory, work, values);
  std::copy_n(work.per_block, plan.blocks(), outgoing.per_block);
  std::copy_n(work.offsets, entries, outgoing.offsets);
  *outgoing.entries = entries;
  *outgoing.flags = 0;
}

}  // namespace

void pack(const Plan& plan, const Memory& memory, void* workspace, const Packet& outgoing) {
  *outgoing.call = *memory.call;
  visit_accumulator(plan.accumulator(), [&]<class A>(Tag<A>) {
    const Workspace<A> work(plan, workspace);
    if (!work.header->finite) {
      std::fill_n(outgoing.per_block, plan.blocks(), 0u);
      *outgoing.entries = 0;
      *outgoing.flags = packet_non_finite;
      return;
    }
    visit_floating(plan.wire,
                   [&]<class Wire>(Tag<Wire>) { pack<Wire>(plan, memory, work, outgoing); });
  });
}

}  // namespace sparccl::host
