// simt.hpp, but for what memory.cpp has of it.
#include <stdexcept>

#include "grid.hpp"
#include "machine.hpp"

namespace simt {

using detail::machine;

namespace {
std::scoped_lock<std::mutex> locked() { return std::scoped_lock(machine().mutex); }
}  // namespace

void set_schedule(std::uint64_t seed) {
  const auto lock = locked();
  machine().reseed(seed);
}
std::uint64_t schedule() {
  const auto lock = locked();
  return machine().seed;
}

void set_device_count(int devices) {
  const Live now = live();
  if (devices < 0 ||
      now.device_allocations + now.pinned_allocations + now.streams + now.events != 0)
    throw std::logic_error("simt::set_device_count: something is live");
  const auto lock = locked();
  machine().devices = std::vector<detail::Device>(static_cast<std::size_t>(devices));
}
void set_multiprocessors(int each) {
  const auto lock = locked();
  machine().multiprocessors = each;
}

void fail_all_calls(cudaError_t error) {
  const auto lock = locked();
  machine().fail_all = error;
}
void fail_device_allocation(std::uint64_t n) {
  const auto lock = locked();
  machine().fail_device_allocation = n;
}
void fail_host_allocation(std::uint64_t n) {
  const auto lock = locked();
  machine().fail_host_allocation = n;
}

std::string last_fault() {
  const auto lock = locked();
  return machine().last_fault;
}

void reset() {
  const auto lock = locked();
  detail::Machine& m = machine();
  for (detail::Device& device : m.devices) device.sticky = cudaSuccess;
  detail::last_error = cudaSuccess;
  m.last_fault.clear();
  m.traffic.clear();
  m.fail_all = cudaSuccess;
  m.fail_device_allocation = m.fail_host_allocation = 0;
  m.synchronisations = 0;
  detail::own_synchronisations = 0;
}

std::uint64_t host_synchronisations() { return machine().synchronisations; }
std::uint64_t host_synchronisations_of_this_thread() { return detail::own_synchronisations; }

Live live() {
  Live found;
  detail::memory().count(found);
  const auto lock = locked();
  found.streams = machine().streams.size();
  found.events = machine().events.size();
  found.graphs = machine().graphs.size() + machine().executables.size();
  return found;
}

Traffic traffic(const std::string& kernel) {
  const auto lock = locked();
  const auto found = machine().traffic.find(kernel);
  return found == machine().traffic.end() ? Traffic{} : found->second;
}
std::map<std::string, Traffic> all_traffic() {
  const auto lock = locked();
  return machine().traffic;
}
void reset_traffic() {
  const auto lock = locked();
  machine().traffic.clear();
}

}  // namespace simt
