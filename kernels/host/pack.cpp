#include <algorithm>

#include "host/host_stages.hpp"
#include "host/workspace.hpp"
#include "visit.hpp"

namespace sparccl::host {
namespace {

template <class Wire, class A>
void pack(const Plan& plan, const Memory& memory, const Workspace<A>& work,
          const Packet& outgoing) {
  constexpr std::size_t ahead = 32;  // entries, each in a cache line of its own
  const std::size_t entries = work.header->candidates;
  auto* residual = static_cast<A*>(memory.residual);
  auto* values = static_cast<Wire*>(outgoing.values);

  Entries later(work.per_block, plan.blocks(), work.offsets);
  std::size_t position = 0;
  for (std::size_t i = 0; i < ahead && later.next(position); ++i) {
    __builtin_prefetch(residual + position, 1);
  }
  Entries now(work.per_block, plan.blocks(), work.offsets);
  for (std::size_t i = 0; now.next(position); ++i) {
    const Wire value = to_wire<Wire>(work.values[i]);
    values[i] = value;
    residual[position] = work.values[i] - static_cast<A>(Convert<Wire>::up(value));
    if (later.next(position)) __builtin_prefetch(residual + position, 1);
  }
  std::copy_n(work.per_block, plan.blocks(), outgoing.per_block);
  std::copy_n(work.offsets, entries, outgoing.offsets);
  *outgoing.entries = entries;
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
