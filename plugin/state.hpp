// The file that a tensor's residual and history survive in: versioned, checksummed, little-endian.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <iosfwd>
#include <string>
#include <vector>

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

/// The state of a tensor in host memory, whatever its backend.
struct StateCopy {
  std::uint64_t step = 0;
  std::vector<std::byte> residual;
  std::vector<std::uint32_t> per_block;
  std::vector<std::uint16_t> offsets;
  std::vector<std::byte> ratios;
  Path path = Path::allgather;        // whose history it is; automatic: of none
  bool at_rest = false;               // of Path::dense: the residual was sent, and stays
  std::vector<std::uint64_t> ranges;  // of Path::split: [P + 1] bounds, [P] demand; else empty
};

/// Without history and ranges: those of one path mean nothing to another.
void forget_path(StateCopy& state);

/// In 31 bits.
[[nodiscard]] std::uint32_t hash_of_ranges(const StateCopy& state) noexcept;

/// Backend memory to the host's and back. Nothing may be under way on the device. `to` has room for
/// the history.
[[nodiscard]] StateCopy copy_state(const Backend& backend, const Plan& plan, const Memory& from);
void put_state(Backend& backend, const StateCopy& state, const Memory& to);

/// Allocates a history for `capacity` entries and points memory.sent_* at it.
[[nodiscard]] History make_history(Backend& backend, const Plan& plan, std::size_t capacity,
                                   Memory& memory);

/// Entries in the history: the sum of its block table.
[[nodiscard]] std::size_t history_entries(const Backend& backend, const Plan& plan,
                                          const Memory& memory);

/// Copies block table, offsets and ratios. `to` has room for them.
void copy_history(Backend& backend, const Plan& plan, const Memory& from, const Memory& to);

/// What save_state() puts into a file. Does not throw: a stream that fails says so itself.
void write_state(std::ostream& out, const StateOwner& owner, const StateCopy& state);

/// Reads `bytes` that write_state() wrote, and checks them before it returns. path: for messages.
/// Throws Error(bad_state): expected, found.
[[nodiscard]] StateCopy read_state(std::istream& in, std::uint64_t bytes,
                                   const std::filesystem::path& path, const StateOwner& owner);

/// Writes to a file beside `path` and renames it, so that other processes see `path` whole at any
/// time (after a power failure it is as the file system leaves it: nothing is synced). Throws
/// Error(system_error), which begins with `whose` and has the system's reason.
void replace_file(const std::filesystem::path& path, const std::string& whose,
                  const std::function<void(std::ostream&)>& write);

/// write_state() to a file of its own.
void save_state(const std::filesystem::path& path, const StateOwner& owner, const StateCopy& state);

/// read_state() of a whole file.
[[nodiscard]] StateCopy load_state(const std::filesystem::path& path, const StateOwner& owner);

}  // namespace sparccl
