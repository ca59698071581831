#include "cuda/placement.hpp"

#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstdlib>
#include <cstring>
#include <set>
#include <span>

#include "cuda/owners.hpp"

namespace mnist::cuda {
namespace {

std::string as_version(int number) {
  return std::to_string(number / 1000) + "." + std::to_string(number % 1000 / 10);
}

/// What there is instead of a usable GPU.
std::string found(cudaError_t code) {
  int driver = 0;
  int runtime = 0;
  static_cast<void>(cudaDriverGetVersion(&driver));
  static_cast<void>(cudaRuntimeGetVersion(&runtime));
  std::string words = driver == 0 ? "no NVIDIA driver"
                                  : "an NVIDIA driver for CUDA " + as_version(driver) + " and " +
                                        cudaGetErrorString(code);
  if (const char* const visible = std::getenv("CUDA_VISIBLE_DEVICES"); visible != nullptr) {
    words += ", with CUDA_VISIBLE_DEVICES=" + std::string(visible);
  }
  return words + " (" + cudaGetErrorName(code) + "), expected a GPU and a driver for CUDA " +
         as_version(runtime);
}

/// Throws std::runtime_error where there is none.
cudaDeviceProp take_device(int local_rank) {
  int count = 0;
  const cudaError_t code = cudaGetDeviceCount(&count);
  if (code != cudaSuccess || count == 0) {
    throw std::runtime_error("found " + found(code == cudaSuccess ? cudaErrorNoDevice : code));
  }
  const int device = local_rank % count;
  check(cudaSetDevice(device));
  check(cudaFree(nullptr));  // a device that cannot be used says so here, not in the middle
  cudaDeviceProp properties{};
  check(cudaGetDeviceProperties(&properties, device));
  return properties;
}

std::string name_of_machine() {
  std::array<char, 256> name{};
  gethostname(name.data(), name.size() - 1);
  return name.data();
}

/// The value of each rank.
template <class T>
std::vector<T> gather(World& world, const T& mine) {
  const std::vector<std::byte> bytes = world.all_gather(std::as_bytes(std::span(&mine, 1)));
  std::vector<T> all(bytes.size() / sizeof(T));
  std::memcpy(all.data(), bytes.data(), bytes.size());
  return all;
}

/// Leaves alone what someone has set. Returns what to say about it.
std::string set_unless_set(const char* name, const std::string& value) {
  const bool is_set = std::getenv(name) != nullptr;
  if (!is_set) setenv(name, value.c_str(), 1);
  return std::string(name) + "=" + std::getenv(name) + (is_set ? " (as it was)" : "");
}

/// To NCCL, ranks that share a GPU must seem to be on different hosts.
void pretend_different_hosts(World& world, int local_rank) {
  std::string said =
      set_unless_set("NCCL_HOSTID", name_of_machine() + "-rank-" + std::to_string(world.rank()));
  // Ranks on one machine need no network. Which one others have, they know themselves.
  if (std::ranges::max(gather(world, local_rank)) + 1 == world.size()) {
    said += ", " + set_unless_set("NCCL_SOCKET_IFNAME", "lo");
  }
  if (world.rank() == 0) complain("ranks share a GPU; on rank 0, for NCCL: " + said);
}

}  // namespace

Placement choose_device(World& world) {
  const int local_rank = world.local_rank();
  cudaDeviceProp properties{};
  std::string error;
  try {
    properties = take_device(local_rank);
  } catch (const std::exception& exception) {
    error = "--backend cuda: rank " + std::to_string(world.rank()) + " on " + name_of_machine() +
            ": " + exception.what();
  }
  world.agree(error);

  std::set<std::string> different;
  for (const cudaUUID_t& uuid : gather(world, properties.uuid)) {
    different.emplace(uuid.bytes, sizeof uuid.bytes);
  }
  if (different.size() < static_cast<std::size_t>(world.size())) {
    pretend_different_hosts(world, local_rank);
  }
  return {properties.name, different.size()};
}

}  // namespace mnist::cuda
