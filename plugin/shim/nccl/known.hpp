// The communicators of the program, by their handles.
#pragma once

#include <nccl.h>

#include <memory>
#include <vector>

#include "shim/nccl/comm.hpp"

namespace sparccl::shim::nccl {

/// Made at the first call. Null: NCCL does not know it, or not yet.
[[nodiscard]] std::shared_ptr<Comm> comm_of(ncclComm_t handle) noexcept;
/// Null: none was made.
[[nodiscard]] std::shared_ptr<Comm> known_comm(ncclComm_t handle) noexcept;

/// Before its end, and when its handle turns out to belong to another.
void end(ncclComm_t handle) noexcept;

/// Before NCCL aborts it. It is not freed: freeing waits for the device, which may be stuck until
/// the program has aborted other communicators.
void abort(ncclComm_t handle) noexcept;
/// When the program works again.
void free_aborted() noexcept;

[[nodiscard]] std::vector<std::shared_ptr<Comm>> all_comms();

/// How many sessions this process has made at that rank so far. Counts this one.
[[nodiscard]] int ordinal_at_rank(int rank);

}  // namespace sparccl::shim::nccl
