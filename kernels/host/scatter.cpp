// A rank's packet, cut into one for each range of positions.
#include <cmath>
#include <limits>

#include "host/host_stages.hpp"
#include "host/split.hpp"
#include "visit.hpp"

namespace sparccl::host {
namespace {

template <class Wire, class A>
class Scatterer {
 public:
  Scatterer(const SplitPlan& split, const Memory& memory, void* scratch, const Packet& own)
      : split_(split),
        memory_(memory),
        own_(own),
        values_(static_cast<Wire*>(own.values)),
        magnitudes_(SplitScratch<A>(split, scratch).magnitudes),
        from_(own.per_block, own.offsets, static_cast<std::size_t>(*own.entries)) {}

  /// The entries of range `r`, which follow those of the ranges before.
  void range(std::size_t r, const Packet& outgoing) {
    const std::uint64_t begin = memory_.bounds[r];
    const std::uint64_t end = memory_.bounds[r + 1];
    Cursor look = from_;
    std::size_t wanted = 0;
    for (; look.before(end); ++look.index, ++wanted) {
      magnitudes_[wanted] = magnitude(values_[look.index]);
    }
    Best<A> best(magnitudes_, wanted, split_.sent.k);
    Writer<Wire> writer(outgoing, split_.sent.blocks());
    for (; from_.before(end); ++from_.index) {
      const std::uint64_t position = from_.position();
      const Wire value = values_[from_.index];
      if (best.takes(magnitude(value))) {
        writer.add(position - begin, value);
        keep(position, value);
      } else {
        static_cast<A*>(memory_.residual)[position] += static_cast<A>(Convert<Wire>::up(value));
      }
    }
    *outgoing.entries = writer.size();
    *outgoing.wanted = wanted;
  }

  void finish() {
    leave_blocks(split_.whole.blocks());
    *own_.entries = kept_;
  }

 private:
  static A magnitude(Wire value) { return std::abs(static_cast<A>(Convert<Wire>::up(value))); }

  /// The lists close up over what was taken out of them. The cursor has passed what is written
  /// over.
  void keep(std::uint64_t position, Wire value) {
    leave_blocks(position / block_size);
    own_.offsets[kept_] = static_cast<std::uint16_t>(position % block_size);
    values_[kept_++] = value;
    ++in_block_;
  }

  /// Writes the new count of each block before `block`.
  void leave_blocks(std::size_t block) {
    for (; block_ < block; ++block_) {
      own_.per_block[block_] = in_block_;
      in_block_ = 0;
    }
  }

  const SplitPlan& split_;
  const Memory& memory_;
  const Packet& own_;
  Wire* values_;
  A* magnitudes_;
  Cursor from_;
  std::size_t kept_ = 0;
  std::size_t block_ = 0;
  std::uint32_t in_block_ = 0;
};

}  // namespace

void scatter(const SplitPlan& split, const Memory& memory, void* workspace, void* scratch,
             const Packet& own, std::span<const Packet> outgoing) {
  const bool finite = static_cast<const WorkspaceHeader*>(workspace)->finite;
  for (const Packet& packet : outgoing) {
    *packet.call = *memory.call;
    *packet.flags = finite ? 0 : packet_non_finite;
    *packet.entries = *packet.wanted = 0;
    *packet.blame = 0;
    std::fill_n(packet.per_block, split.sent.blocks(), 0u);
  }
  if (!finite) return;
  visit_accumulator(split.whole.accumulator(), [&]<class A>(Tag<A>) {
    visit_floating(split.whole.wire, [&]<class Wire>(Tag<Wire>) {
      Scatterer<Wire, A> scatterer(split, memory, scratch, own);
      for (std::size_t r = 0; r < outgoing.size(); ++r) scatterer.range(r, outgoing[r]);
      scatterer.finish();
    });
  });
}

}  // namespace sparccl::host
