// The file that a tensor's residual and history survive in: versioned, checksummed, little-endian.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>

#include "stages.hpp"

namespace sparccl {

/// Whose state it is; a file of anybody else's is refused.
struct StateOwner {
  std::string name;
  Plan plan;
};

/// History as it is kept: one allocation of its own, so that it can grow and be replaced.
struct History {
  Backend::Buffer buffer{nullptr, nullptr};
  std::size_t capacity = 0;  // entries
  std::size_t bytes = 0;
};

/// Allocates a history for `capacity` entries and points memory.sent_* at it.
[[nodiscard]] History make_history(Backend& backend, const Plan& plan, std::size_t capacity,
                                   Memory& memory);

/// Entries in the history: the sum of its block table.
[[nodiscard]] std::size_t history_entries(const Plan& plan, const Memory& memory);

/// Copies block table, offsets and ratios. `to` has room for them.
void copy_history(const Plan& plan, const Memory& from, const Memory& to);

/// Writes to a file beside `path` and renames it, so that other processes see `path` whole at any
/// time (after a power failure it is as the file system leaves it: nothing is synced). Throws
/// Error(system_error) with the system's reason.
void save_state(const std::filesystem::path& path, const StateOwner& owner, std::uint64_t step,
                const Memory& memory);

struct LoadedState {
  std::uint64_t step = 0;
  Backend::Buffer residual{nullptr, nullptr};
  History history;
  Memory memory;
};

/// Reads and checks everything before it returns. Throws Error(bad_state): expected, found.
[[nodiscard]] LoadedState load_state(const std::filesystem::path& path, const StateOwner& owner,
                                     Backend& backend);

}  // namespace sparccl
