// SPARCCL_STATE_DIR: the tensors of a communicator in one file of this rank.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <iosfwd>
#include <optional>
#include <string>
#include <vector>

#include "shim/call.hpp"

namespace sparccl::shim {

/// What is in such a file besides the tensors' own states.
struct SavedStep {
  int world_size = 0;
  int rank = 0;
  struct Slot {
    Key key;
    std::uint64_t uses = 0;   // calls so far, dense ones of the warm-up included
    std::uint64_t begin = 0;  // of the tensor's state in the file
    std::uint64_t bytes = 0;  // 0: it has none
  };
  std::vector<Slot> slots;  // of a step, in order

  [[nodiscard]] std::vector<Key> keys() const;
  /// For ranks to compare: of a step, its calls and how often each was made.
  [[nodiscard]] std::string fingerprint() const;
};

/// Throws Error(system_error) if the directory cannot be made or nothing can be written to it.
void require_writable(const std::filesystem::path& directory);

/// Writes one slot's tensor, or nothing.
using WriteSlot = std::function<void(std::size_t slot, std::ostream& out)>;

/// Replaces the file when it is complete. Throws Error(system_error).
void save_step(const std::filesystem::path& path, const SavedStep& step, const WriteSlot& write);

/// Nothing if there is no such file. Reads what is in it, not the tensors' states. Throws
/// Error(bad_state): expected, found.
[[nodiscard]] std::optional<SavedStep> load_step(const std::filesystem::path& path, int rank,
                                                 int world_size);

}  // namespace sparccl::shim
