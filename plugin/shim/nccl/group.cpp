#include "shim/nccl/group.hpp"

namespace sparccl::shim::nccl {

namespace {
thread_local int depth = 0;
}

void group_started() noexcept { ++depth; }

void group_ended() noexcept {
  if (depth > 0) --depth;
}

bool in_group() noexcept { return depth > 0; }

}  // namespace sparccl::shim::nccl
