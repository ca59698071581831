// What hardware a communicator is on.
#include <cxxabi.h>

#include <cstdlib>
#include <cstring>
#include <fstream>
#include <memory>
#include <set>
#include <thread>
#include <typeinfo>

#include "calibration.hpp"

namespace sparccl {
namespace {

/// What follows "<name> ... :" in a file of such lines.
std::string field_of(const std::filesystem::path& path, const std::string& name) {
  std::ifstream file(path);
  for (std::string line; std::getline(file, line);) {
    if (line.rfind(name, 0) != 0) continue;
    const std::size_t colon = line.find(':');
    if (colon == std::string::npos) continue;
    const std::size_t begin = line.find_first_not_of(" \t", colon + 1);
    return begin == std::string::npos ? std::string() : line.substr(begin);
  }
  return {};
}

/// The driver's own list, which needs no CUDA: every model that is there, once.
std::string gpus() {
  std::set<std::string> models;
  std::error_code none;
  for (const auto& gpu : std::filesystem::directory_iterator("/proc/driver/nvidia/gpus", none)) {
    models.insert(field_of(gpu.path() / "information", "Model"));
  }
  std::string all;
  for (const std::string& model : models) all += (all.empty() ? "" : ", ") + model;
  return all;
}

/// By its class: "sparccl::MpiTransport" is "mpi".
std::string name_of_class(const Transport& transport) {
  const std::unique_ptr<char, void (*)(void*)> readable(
      abi::__cxa_demangle(typeid(transport).name(), nullptr, nullptr, nullptr), std::free);
  std::string name = readable ? readable.get() : typeid(transport).name();
  const std::size_t colon = name.rfind("::");
  if (colon != std::string::npos) name.erase(0, colon + 2);
  const std::size_t tail = name.rfind("Transport");
  if (tail != std::string::npos && tail != 0) name.erase(tail);
  for (char& c : name) {
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  }
  return name;
}

}  // namespace

int equal_ranks_per_node(const std::vector<int>& nodes) {
  std::vector<int> ranks;
  for (const int node : nodes) {
    if (static_cast<std::size_t>(node) >= ranks.size()) {
      ranks.resize(static_cast<std::size_t>(node) + 1);
    }
    ++ranks[static_cast<std::size_t>(node)];
  }
  for (const int each : ranks) {
    if (each != ranks.front()) return 0;
  }
  return ranks.empty() ? 0 : ranks.front();
}

Machine machine_of(Communicator::Impl& communicator) {
  Machine machine;
  machine.cpu = field_of("/proc/cpuinfo", "model name");
  machine.cores = static_cast<int>(std::thread::hardware_concurrency());
  const bool cuda = std::strstr(communicator.backend().memory_name(), "CUDA") != nullptr;
  machine.backend = cuda ? "cuda" : "host";
  if (cuda) machine.gpu = gpus();
  machine.transport = name_of_class(communicator.transport());
  machine.world_size = communicator.transport().size();
  machine.ranks_per_node = equal_ranks_per_node(communicator.transport().nodes());
  return machine;
}

Workload workload_of(const Plan& plan, const Costs& costs) {
  return {.count = plan.count,
          .k = plan.k,
          .type = plan.type,
          .wire = plan.wire,
          .world_size = plan.world_size,
          .ranks_per_node = costs.machine.ranks_per_node};
}

}  // namespace sparccl
