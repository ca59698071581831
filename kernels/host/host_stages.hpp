// The host's stages, one file each; backend.cpp calls them through the Backend interface.
#pragma once

#include <span>

#include "host/simd.hpp"
#include "stages.hpp"

namespace sparccl::host {

void accumulate(const Simd& simd, const Plan& plan, const Step& step, const Memory& memory,
                void* workspace);
void select(const Simd& simd, const Plan& plan, const Memory& memory, void* workspace);
void pack(const Plan& plan, const Memory& memory, void* workspace, const Packet& outgoing);
void check(const Plan& plan, const Step& step, const Memory& memory, void* workspace,
           std::span<const Packet> packets);
void restore(const Plan& plan, const Step& step, const Memory& memory, void* workspace);
void merge(const Simd& simd, const Plan& plan, const Memory& memory, void* workspace,
           std::span<const Packet> packets, const Output& output);

/// What is wrong with a packet; own: this rank's, to compare with.
[[nodiscard]] Problem problem_of(const Plan& plan, const Packet& packet, const Packet& own);

/// Ends a step: verdict, report, step. sent: entries of this rank.
void conclude(const Step& step, const Memory& memory, void* workspace, const Verdict& verdict,
              std::uint64_t sent);

/// NaN, as the result of a step without a sum. Returns the entries of a sparse output.
std::size_t fill_nan(const Plan& plan, const Output& output);

void scatter(const SplitPlan& split, const Memory& memory, void* workspace, void* scratch,
             const Packet& own, std::span<const Packet> outgoing);
void reduce(const Simd& simd, const SplitPlan& split, const Memory& memory, void* scratch,
            std::span<const Packet> incoming, const Packet& outgoing);
void judge(const SplitPlan& split, const Step& step, const Memory& memory, void* workspace,
           std::span<const Packet> reduced);
void join(const Simd& simd, const SplitPlan& split, const Memory& memory, void* workspace,
          void* scratch, const Packet& own, std::span<const Packet> reduced, const Output& output);

void prepare_dense(const Plan& plan, const Step& step, const Memory& memory, void* send);
void conclude_dense(const Plan& plan, const Step& step, const Memory& memory, void* workspace,
                    const void* sum, const Output& output);

/// The step is undone, as if a sum of this rank's had not been finite.
void spoil(const Simd& simd, const Plan& plan, const Step& step, const Memory& memory,
           void* workspace);
void convert(void* to, DataType to_type, const void* from, DataType from_type, std::size_t count,
             double scale);

void announce(const RollCall& roll, const void* descriptor, const std::uint64_t* step,
              std::size_t step_offset);
void verify(const RollCall& roll, Trouble* trouble);

/// residual -= scale * gradient over the first `count` entries: undoes accumulate, to 1 ulp of the
/// larger of the two.
void undo(const Plan& plan, const Step& step, const Memory& memory, std::size_t count);

}  // namespace sparccl::host
