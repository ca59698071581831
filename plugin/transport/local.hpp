// Ranks as threads of one process.
#pragma once

#include <memory>
#include <vector>

#include "transport/transport.hpp"

namespace sparccl {

/// One transport for each rank of a new group. world_size >= 1.
[[nodiscard]] std::vector<std::unique_ptr<Transport>> make_local_transports(
    int world_size, const CommunicatorOptions& options);

}  // namespace sparccl
