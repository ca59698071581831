#include "transport/host_key.hpp"

#include <unistd.h>

#include <array>
#include <cstdlib>
#include <fstream>
#include <string>

namespace sparccl {
namespace {

/// Containers of one host may share its boot, and hosts a name: both count.
std::string host_and_boot() {
  std::array<char, 256> name{};
  if (gethostname(name.data(), name.size() - 1) != 0) name[0] = '\0';
  std::string boot;
  std::ifstream("/proc/sys/kernel/random/boot_id") >> boot;
  return std::string(name.data()) + "/" + boot;
}

}  // namespace

std::uint64_t host_key() {
  const char* const told = std::getenv("NCCL_HOSTID");
  const std::string id = told != nullptr && *told != '\0' ? told : host_and_boot();
  std::uint64_t hash = 0xcbf29ce484222325;  // FNV-1a
  for (const char c : id) {
    hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001b3;
  }
  return hash;
}

}  // namespace sparccl
