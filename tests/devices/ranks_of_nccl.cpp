// Ranks are threads, tensors are in the memory of devices, packets travel over the stand-in for
// NCCL.
#include <nccl.h>

#include <optional>

#include <sparccl/nccl.hpp>

#include "cuda/runtime.hpp"
#include "simt.hpp"
#include "world.hpp"

namespace sparccl::test {
namespace {

void require(ncclResult_t result) {
  if (result != ncclSuccess) throw Error(Result::system_error, ncclGetErrorString(result));
}

}  // namespace

/// Rank r is on device r: two on one would wait for each other on its default stream.
std::vector<Communicator> make_ranks(int world_size, int ranks_per_node) {
  static const bool enough_devices = (simt::set_device_count(64), true);
  static_cast<void>(enough_devices);
  ncclUniqueId id;
  require(ncclGetUniqueId(&id));
  std::vector<std::optional<Communicator>> made(static_cast<std::size_t>(world_size));
  run_ranks(
      world_size,
      [&](int rank) {
        const cuda::DeviceGuard device(rank);
        ncclComm_t users = nullptr;
        require(ncclCommInitRank(&users, world_size, id, rank));
        made[static_cast<std::size_t>(rank)] =
            nccl_communicator(users, {.ranks_per_node = ranks_per_node});
        require(ncclCommDestroy(users));
      },
      [] {});
  std::vector<Communicator> ranks;
  for (auto& each : made) ranks.push_back(std::move(*each));
  return ranks;
}

bool calls_are_slow() { return true; }
std::uint64_t schedule() { return simt::schedule(); }

}  // namespace sparccl::test
