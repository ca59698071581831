// Ranks are threads, tensors are in the memory of a device, packets cross through the hosts.
#include <sparccl/cuda.hpp>

#include "simt.hpp"
#include "world.hpp"

namespace sparccl::test {

std::vector<Communicator> make_ranks(int world_size, int ranks_per_node) {
  std::vector<Communicator> ranks;
  for (const Communicator& host :
       Communicator::local(world_size, {.ranks_per_node = ranks_per_node})) {
    ranks.push_back(cuda_communicator(host));
  }
  return ranks;
}

bool calls_are_slow() { return true; }
std::uint64_t schedule() { return simt::schedule(); }

}  // namespace sparccl::test
