// The reduced ranges of all ranks: verdict, result, history.
#include <algorithm>
#include <limits>

#include "balance.hpp"
#include "host/host_stages.hpp"
#include "host/split.hpp"
#include "host/stream.hpp"
#include "visit.hpp"

namespace sparccl::host {
namespace {

Plan plan_of_range(const SplitPlan& split, const Memory& memory, std::size_t r) {
  Plan plan = split.reduced;
  plan.count = memory.bounds[r + 1] - memory.bounds[r];
  return plan;
}

/// What a range's owner says of the packets that it got. It may be wrong about that, too.
Verdict verdict_of(const SplitPlan& split, const Plan& range, const Packet& packet,
                   const Packet& own, std::int32_t owner) {
  const bool identical =
      std::equal(static_cast<const std::byte*>(packet.identity),
                 static_cast<const std::byte*>(packet.identity) + packet.identity_bytes,
                 static_cast<const std::byte*>(own.identity));
  const auto blamed = static_cast<std::int32_t>(*packet.blame >> 8);
  const std::uint32_t problem = *packet.blame & 0xff;
  if (identical && *packet.flags == packet_bad) {
    if (blamed >= split.whole.world_size || problem == 0 ||
        problem > static_cast<std::uint32_t>(Problem::value) || *packet.entries != 0) {
      return {Verdict::Kind::bad_packet, owner, Problem::flags};
    }
    return {Verdict::Kind::bad_packet, blamed, static_cast<Problem>(problem)};
  }
  const Problem found = problem_of(range, packet, own);
  if (found != Problem::none) return {Verdict::Kind::bad_packet, owner, found};
  const std::uint64_t most = split.whole.k * static_cast<std::uint64_t>(split.whole.world_size);
  if (*packet.wanted > most) return {Verdict::Kind::bad_packet, owner, Problem::entries};
  if (*packet.flags == 0) return {Verdict::Kind::sum};
  if (blamed >= split.whole.world_size) {
    return {Verdict::Kind::bad_packet, owner, Problem::flags};
  }
  return {Verdict::Kind::non_finite, blamed};
}

Verdict check_reduced(const SplitPlan& split, const Memory& memory,
                      std::span<const Packet> reduced) {
  const Packet& own = reduced[static_cast<std::size_t>(split.whole.rank)];
  Verdict verdict{Verdict::Kind::sum};
  for (std::size_t r = 0; r < reduced.size(); ++r) {
    const Verdict found = verdict_of(split, plan_of_range(split, memory, r), reduced[r], own,
                                     static_cast<std::int32_t>(r));
    if (found.kind == Verdict::Kind::bad_packet) return found;
    if (verdict.kind == Verdict::Kind::sum) verdict = found;
  }
  return verdict;
}

template <class T, class Wire>
class Joiner {
 public:
  using A = Accumulator<T>;

  Joiner(const Simd& simd, const SplitPlan& split, const Memory& memory, const Packet& own,
         const Output& output)
      : plan_(split.whole),
        memory_(memory),
        own_values_(static_cast<const Wire*>(own.values)),
        own_(own.per_block, own.offsets, static_cast<std::size_t>(*own.entries)),
        output_(output),
        divisor_(static_cast<A>(plan_.divisor(output.reduction))) {
    std::fill_n(memory.sent_per_block, plan_.blocks(), 0u);
    if (output.dense != nullptr) write_zeros(simd, output.dense, plan_.count * sizeof(T));
  }

  void range(std::uint64_t begin, std::uint64_t end, const Packet& reduced) {
    Cursor its(reduced.per_block, reduced.offsets, static_cast<std::size_t>(*reduced.entries));
    const auto* sums = static_cast<const A*>(reduced.values);
    for (; its.index < its.entries; ++its.index) {
      const std::uint64_t position = begin + its.position();
      while (own_.before(position)) take_back();
      if (own_.before(position + 1)) remember(position, sums[its.index]);
      write(position, Convert<T>::from(sums[its.index] / divisor_));
    }
    while (own_.before(end)) take_back();
  }

  [[nodiscard]] std::size_t remembered() const { return remembered_; }
  [[nodiscard]] std::size_t written() const { return output_.dense != nullptr ? 0 : written_; }

 private:
  [[nodiscard]] A own_value() const {
    return static_cast<A>(Convert<Wire>::up(own_values_[own_.index]));
  }

  void take_back() {
    static_cast<A*>(memory_.residual)[own_.position()] += own_value();
    ++own_.index;
  }

  void remember(std::uint64_t position, A total) {
    ++memory_.sent_per_block[position / block_size];
    memory_.sent_offsets[remembered_] = static_cast<std::uint16_t>(position % block_size);
    static_cast<A*>(memory_.sent_ratios)[remembered_] =
        sparccl::remember(plan_.distortion, own_value(), total);
    ++remembered_;
    ++own_.index;
  }

  void write(std::uint64_t position, T value) {
    if (output_.dense != nullptr) {
      static_cast<T*>(output_.dense)[position] = value;
      return;
    }
    output_.positions[written_] = position;
    static_cast<T*>(output_.values)[written_++] = value;
  }

  const Plan& plan_;
  const Memory& memory_;
  const Wire* own_values_;
  Cursor own_;
  const Output& output_;
  A divisor_;
  std::size_t remembered_ = 0;
  std::size_t written_ = 0;
};

void count_demand(const SplitPlan& split, const Memory& memory, void* scratch,
                  std::span<const Packet> reduced) {
  if (!split.balances) return;
  for (std::size_t r = 0; r < reduced.size(); ++r) memory.demand[r] += *reduced[r].wanted;
  if (*memory.step % balance_every != 0) return;
  visit_accumulator(split.whole.accumulator(), [&]<class A>(Tag<A>) {
    balance(memory.bounds, memory.demand, SplitScratch<A>(split, scratch).bounds,
            split.whole.world_size, split.sent.count);
  });
}

}  // namespace

void judge(const SplitPlan& split, const Step& step, const Memory& memory, void* workspace,
           std::span<const Packet> reduced) {
  conclude(step, memory, workspace, check_reduced(split, memory, reduced), 0);
}

void join(const Simd& simd, const SplitPlan& split, const Memory& memory, void* workspace,
          void* scratch, const Packet& own, std::span<const Packet> reduced, const Output& output) {
  Report& report = *memory.report;
  if (static_cast<WorkspaceHeader*>(workspace)->verdict.kind != Verdict::Kind::sum) {
    report.written = fill_nan(split.whole, output);
    return;
  }
  visit_floating(split.whole.type, [&]<class T>(Tag<T>) {
    visit_floating(split.whole.wire, [&]<class Wire>(Tag<Wire>) {
      Joiner<T, Wire> joiner(simd, split, memory, own, output);
      for (std::size_t r = 0; r < reduced.size(); ++r) {
        joiner.range(memory.bounds[r], memory.bounds[r + 1], reduced[r]);
      }
      report.written = joiner.written();
      report.last_entries = memory.totals->last_entries = joiner.remembered();
      report.entries = memory.totals->entries += joiner.remembered();
    });
  });
  count_demand(split, memory, scratch, reduced);
}

}  // namespace sparccl::host
