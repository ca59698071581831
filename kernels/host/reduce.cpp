// What all ranks sent to this rank's range, summed in rank order.
#include <cmath>
#include <limits>

#include "host/host_stages.hpp"
#include "host/merge.hpp"
#include "host/split.hpp"
#include "visit.hpp"

namespace sparccl::host {
namespace {

/// sent: the plan of the packets, its count that of this rank's range.
Problem problem_with(const SplitPlan& split, const Plan& sent, const Packet& packet,
                     const Packet& own) {
  const Problem problem = problem_of(sent, packet, own);
  if (problem != Problem::none) return problem;
  return *packet.wanted > split.whole.k ? Problem::entries : Problem::none;
}

/// The first packet that is no part of a sum: flags and blame of the outgoing one.
bool refuse(const SplitPlan& split, const Plan& sent, std::span<const Packet> incoming,
            const Packet& outgoing) {
  const Packet& own = incoming[static_cast<std::size_t>(sent.rank)];
  for (std::size_t rank = 0; rank < incoming.size(); ++rank) {
    const Problem problem = problem_with(split, sent, incoming[rank], own);
    if (problem != Problem::none) {
      *outgoing.flags = packet_bad;
      *outgoing.blame = blame_of(static_cast<std::int32_t>(rank), problem);
      return true;
    }
    if (*incoming[rank].flags == packet_non_finite && *outgoing.flags == 0) {
      *outgoing.flags = packet_non_finite;
      *outgoing.blame = blame_of(static_cast<std::int32_t>(rank), Problem::none);
    }
  }
  return *outgoing.flags != 0;
}

template <class A>
void send_best(const SplitPlan& split, const SplitScratch<A>& scratch, std::size_t size,
               const Packet& outgoing) {
  std::transform(scratch.values, scratch.values + size, scratch.magnitudes,
                 [](A sum) { return std::abs(sum); });
  Best<A> best(scratch.magnitudes, size, split.reduced.k);
  Writer<A> writer(outgoing, split.reduced.blocks());
  for (std::size_t i = 0; i < size; ++i) {
    if (best.takes(std::abs(scratch.values[i]))) {
      writer.add(scratch.positions[i], scratch.values[i]);
    }
  }
  *outgoing.entries = writer.size();
}

}  // namespace

void reduce(const Simd& simd, const SplitPlan& split, const Memory& memory, void* scratch,
            std::span<const Packet> incoming, const Packet& outgoing) {
  *outgoing.call = *memory.call;
  *outgoing.flags = *outgoing.blame = 0;
  *outgoing.entries = *outgoing.wanted = 0;
  std::fill_n(outgoing.per_block, split.reduced.blocks(), 0u);
  Plan sent = split.sent;
  sent.count = memory.bounds[sent.rank + 1] - memory.bounds[sent.rank];
  if (refuse(split, sent, incoming, outgoing)) return;
  for (const Packet& packet : incoming) *outgoing.wanted += *packet.wanted;
  if (sent.count == 0) return;
  visit_accumulator(sent.type, [&]<class A>(Tag<A>) {
    const SplitScratch<A> parts(split, scratch);
    const Workspace<A> sums(split.sent, parts.sums);
    const Output output{.positions = parts.positions, .values = parts.values};
    const std::size_t written =
        merge_packets<A>(simd, sent, parts.forgotten, sums, incoming, output);
    send_best(split, parts, written, outgoing);
  });
}

}  // namespace sparccl::host
