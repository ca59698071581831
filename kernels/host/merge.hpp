// The sum of packets, in a workspace of at least as many entries.
#pragma once

#include <cstddef>
#include <span>

#include "host/simd.hpp"
#include "host/workspace.hpp"
#include "stages.hpp"

namespace sparccl::host {

/// plan: of the packets. work: of a plan that stays the same from call to call, where `plan` may be
/// of other entries each time, as ranges are that are balanced: its zeros must lie where they lay
/// before. Returns the entries of a sparse output.
template <class T>
std::size_t merge_packets(const Simd& simd, const Plan& plan, const Memory& memory,
                          const Workspace<Accumulator<T>>& work, std::span<const Packet> packets,
                          const Output& output);

}  // namespace sparccl::host
