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

void announce(const RollCall& roll, const void* descriptor, const std::uint64_t* step,
              std::size_t step_offset);
void verify(const RollCall& roll, Trouble* trouble);

/// residual -= scale * gradient over the first `count` entries: undoes accumulate, to 1 ulp of the
/// larger of the two.
void undo(const Plan& plan, const Step& step, const Memory& memory, std::size_t count);

}  // namespace sparccl::host
