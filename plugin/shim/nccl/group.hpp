// Whether the calling thread is between ncclGroupStart and ncclGroupEnd.
#pragma once

namespace sparccl::shim::nccl {

void group_started() noexcept;
/// What ended no group counts for nothing.
void group_ended() noexcept;
[[nodiscard]] bool in_group() noexcept;

}  // namespace sparccl::shim::nccl
