// Ranks are threads, tensors are in host memory.
#include "world.hpp"

namespace sparccl::test {

std::vector<Communicator> make_ranks(int world_size, int ranks_per_node) {
  return Communicator::local(world_size, {.ranks_per_node = ranks_per_node});
}

int rounds(int full) { return full; }
std::uint64_t variation() { return 0; }

}  // namespace sparccl::test
