// Which host this process is on.
#pragma once

#include <cstdint>

namespace sparccl {

/// Equal for processes that NCCL takes to be on one host: a hash of the host's name and of its
/// boot, or of NCCL_HOSTID where that is set.
[[nodiscard]] std::uint64_t host_key();

}  // namespace sparccl
