#include "machine.hpp"

#include <unistd.h>

#include <algorithm>
#include <fstream>
#include <limits>

namespace sparccl::perf {
namespace {

/// The number in a file of one, or the largest there is ("max", or no such file).
std::size_t number_in(const char* path) {
  std::size_t number = 0;
  std::ifstream file(path);
  return file >> number ? number : std::numeric_limits<std::size_t>::max();
}

std::size_t of_system() {
  std::ifstream file("/proc/meminfo");
  std::string name, unit;
  for (std::size_t kib = 0; file >> name >> kib;) {
    if (name == "MemAvailable:") return kib * 1024;
    std::getline(file, unit);
  }
  return static_cast<std::size_t>(sysconf(_SC_AVPHYS_PAGES)) *
         static_cast<std::size_t>(sysconf(_SC_PAGESIZE));
}

}  // namespace

std::string cpu_model() {
  std::ifstream file("/proc/cpuinfo");
  for (std::string line; std::getline(file, line);) {
    const std::size_t colon = line.find(": ");
    if (line.starts_with("model name") && colon != std::string::npos) return line.substr(colon + 2);
  }
  return "unknown";
}

int cores() { return static_cast<int>(std::max(1L, sysconf(_SC_NPROCESSORS_ONLN))); }

std::size_t available_memory() {
  const std::size_t limit = number_in("/sys/fs/cgroup/memory.max");
  const std::size_t used = number_in("/sys/fs/cgroup/memory.current");
  if (limit == std::numeric_limits<std::size_t>::max() || used > limit) return of_system();
  return std::min(of_system(), limit - used);
}

}  // namespace sparccl::perf
