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
Verdict check(const Plan& plan, std::span<const Packet> packets);
void restore(const Plan& plan, const Step& step, const Memory& memory, void* workspace);
std::size_t merge(const Simd& simd, const Plan& plan, const Memory& memory, void* workspace,
                  std::span<const Packet> packets, const Output& output);

/// The result of a step that was not finite. Returns the entries of a sparse output.
std::size_t fill_non_finite(const Plan& plan, const Output& output);

/// residual -= scale * gradient over the first `count` entries: undoes accumulate, to 1 ulp of the
/// larger of the two.
void undo(const Plan& plan, const Step& step, const Memory& memory, std::size_t count);

}  // namespace sparccl::host
