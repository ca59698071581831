// Ranks that reach each other by functions of the caller's.
#pragma once

#include <memory>

#include <sparccl/transport.h>

#include "transport/transport.hpp"

namespace sparccl {

/// Copies the struct and trusts its size. Throws Error(invalid_argument) where it lacks allGather,
/// its rank is none of its ranks, or the options ask for a timeout, which is the functions' own, or
/// for less than 0 ranks a node.
[[nodiscard]] std::unique_ptr<Transport> make_callback_transport(
    const sparcclTransport_t& functions, const CommunicatorOptions& options);

}  // namespace sparccl
