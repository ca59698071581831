// The roll call: what every rank is about to do, before anything is exchanged.
#include <cstring>

#include "host/host_stages.hpp"

namespace sparccl::host {

void announce(const RollCall& roll, const void* descriptor, const std::uint64_t* step,
              std::size_t step_offset) {
  std::byte* const own =
      roll.slots + static_cast<std::size_t>(roll.rank) * Trouble::descriptor_bytes;
  std::memcpy(own, descriptor, Trouble::descriptor_bytes);
  if (step != nullptr) std::memcpy(own + step_offset, step, sizeof(*step));
}

void verify(const RollCall& roll, Trouble* trouble) {
  *roll.refused = 0;
  for (int rank = 1; rank < roll.world_size; ++rank) {
    const std::byte* const other =
        roll.slots + static_cast<std::size_t>(rank) * Trouble::descriptor_bytes;
    if (std::memcmp(roll.slots, other, Trouble::descriptor_bytes) == 0) continue;
    *roll.refused = 1;
    if (trouble == nullptr) return;
    trouble->kind = Verdict::Kind::refused;
    trouble->rank = rank;
    std::memcpy(trouble->descriptors[0], roll.slots, Trouble::descriptor_bytes);
    std::memcpy(trouble->descriptors[1], other, Trouble::descriptor_bytes);
    return;
  }
}

}  // namespace sparccl::host
