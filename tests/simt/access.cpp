// Checks every access of a kernel to global memory, and counts it.
#include <cstdio>
#include <stdexcept>

#include "grid.hpp"

namespace simt::detail {

namespace {

std::string hex(std::uintptr_t address) {
  char text[24];
  std::snprintf(text, sizeof text, "0x%zx", static_cast<std::size_t>(address));
  return text;
}

std::string bytes_at(const char* what, std::uintptr_t address, std::size_t bytes) {
  return std::string(what) + " " + std::to_string(bytes) + " bytes at " + hex(address);
}

[[noreturn]] void outside(const char* what, std::uintptr_t address, std::size_t bytes) {
  std::string text = bytes_at(what, address, bytes);
  const AllocationPointer below = memory().nearest_below(address);
  if (below == nullptr) {
    text += ", which no device reaches";
  } else {
    const std::size_t offset = address - below->begin;
    text += offset > below->bytes + (std::size_t{1} << 20)
                ? std::string(", which no device reaches (nothing is allocated near)")
                : ": offset " + std::to_string(offset) + " of an allocation of " +
                      std::to_string(below->bytes) + " bytes";
  }
  grid->fault(cudaErrorIllegalAddress, text);
}

Allocation& checked(const char* what, std::uintptr_t address, std::size_t bytes) {
  if (self == nullptr) throw std::logic_error("global memory is loaded and stored in kernels");
  Allocation* const found = grid->find(address);
  if (found == nullptr || bytes > found->bytes - (address - found->begin))
    outside(what, address, bytes);
  if (found->kind == Allocation::Kind::device && found->device != grid->device()) {
    grid->fault(cudaErrorIllegalAddress,
                bytes_at(what, address, bytes) + " of device " + std::to_string(found->device) +
                    ", running on device " + std::to_string(grid->device()));
  }
  if (address % bytes != 0) {
    grid->fault(cudaErrorMisalignedAddress,
                bytes_at(what, address, bytes) + ", which is not a multiple of its size");
  }
  return *found;
}

void require_written(const Allocation& of, const char* what, std::uintptr_t address,
                     std::size_t bytes) {
  if (of.written == nullptr) return;
  std::size_t marks = 0;
  for (std::size_t i = 0; i < bytes; ++i) marks += of.written[address - of.begin + i];
  if (marks == bytes) return;
  grid->fault(cudaErrorLaunchFailure,
              bytes_at(what, address, bytes) + ", which nothing has written: offset " +
                  std::to_string(address - of.begin) + " of an allocation of " +
                  std::to_string(of.bytes) + " bytes");
}

}  // namespace

Allocation* Grid::find(std::uintptr_t address) {
  const std::uint64_t epoch = memory().epoch();
  if (epoch != epoch_) {
    known_ = {};
    epoch_ = epoch;
  }
  const Known& last = known_[last_known_];
  if (address - last.begin < last.bytes) return last.allocation.get();
  for (std::size_t i = 0; i < known_.size(); ++i) {
    if (address - known_[i].begin >= known_[i].bytes) continue;
    last_known_ = i;
    return known_[i].allocation.get();
  }
  AllocationPointer found = memory().find(address);
  if (found == nullptr) return nullptr;
  Known& slot = known_[next_known_++ % known_.size()];
  slot = {found->begin, found->bytes, found};
  return slot.allocation.get();
}

Place to_read(const void* from, std::size_t bytes) {
  const auto address = reinterpret_cast<std::uintptr_t>(from);
  const Allocation& of = checked("loads", address, bytes);
  require_written(of, "loads", address, bytes);
  ++grid->traffic.loads;
  grid->traffic.loaded_bytes += bytes;
  return {of.storage + (address - of.begin), of.written == nullptr};
}

Place to_write(void* to, std::size_t bytes) {
  const auto address = reinterpret_cast<std::uintptr_t>(to);
  const Allocation& of = checked("stores", address, bytes);
  const std::size_t offset = address - of.begin;
  if (of.written != nullptr) {
    for (std::size_t i = 0; i < bytes; ++i) of.written[offset + i] = 1;
  }
  ++grid->traffic.stores;
  grid->traffic.stored_bytes += bytes;
  return {of.storage + offset, of.written == nullptr};
}

void* to_update(void* at, std::size_t bytes) {
  if (self == nullptr) throw std::logic_error("an atomic operation outside of a kernel");
  const auto address = reinterpret_cast<std::uintptr_t>(at);
  const auto shared = reinterpret_cast<std::uintptr_t>(self->block->shared.get());
  if (address - shared < grid->kernel().shared_bytes) return at;
  const Allocation& of = checked("updates", address, bytes);
  require_written(of, "updates", address, bytes);
  ++grid->traffic.atomics;
  return of.storage + (address - of.begin);
}

}  // namespace simt::detail
