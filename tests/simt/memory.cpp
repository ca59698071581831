#include "memory.hpp"

#include <sys/mman.h>

#include <cstring>
#include <mutex>
#include <new>
#include <stdexcept>

namespace simt::detail {

namespace {
constexpr std::align_val_t alignment{256};
constexpr int unwritten = 0xcd;
}  // namespace

Allocation::Allocation(Kind of_kind, int of_device, std::size_t size, void* registered)
    : kind(of_kind), device(of_device), bytes(size) {
  if (kind == Kind::registered) {
    storage = static_cast<std::byte*>(registered);
    begin = reinterpret_cast<std::uintptr_t>(registered);
    return;
  }
  storage = static_cast<std::byte*>(::operator new(bytes, alignment));
  std::memset(storage, unwritten, bytes);
  begin = reinterpret_cast<std::uintptr_t>(storage);
  if (kind == Kind::pinned) return;
  written = static_cast<unsigned char*>(std::calloc(bytes, 1));
  void* const reserved =
      mmap(nullptr, bytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (written == nullptr || reserved == MAP_FAILED) {
    std::free(written);
    ::operator delete(storage, alignment);
    throw std::bad_alloc();
  }
  begin = reinterpret_cast<std::uintptr_t>(reserved);
}

Allocation::~Allocation() {
  if (kind == Kind::registered) return;
  if (kind == Kind::device) munmap(reinterpret_cast<void*>(begin), bytes);
  std::free(written);
  ::operator delete(storage, alignment);
}

bool Allocation::all_written(std::size_t offset, std::size_t size) const {
  return written == nullptr || std::memchr(written + offset, 0, size) == nullptr;
}

AllocationPointer Memory::allocate(Allocation::Kind kind, int device, std::size_t bytes,
                                   void* registered) {
  try {
    auto made = std::make_shared<Allocation>(kind, device, bytes, registered);
    const std::unique_lock lock(mutex_);
    by_begin_[made->begin] = made;
    return made;
  } catch (const std::bad_alloc&) {
    return nullptr;
  }
}

bool Memory::free(const void* pointer, Allocation::Kind kind) {
  AllocationPointer freed;  // destroyed after the lock
  const std::unique_lock lock(mutex_);
  const auto found = by_begin_.find(reinterpret_cast<std::uintptr_t>(pointer));
  if (found == by_begin_.end() || found->second->kind != kind) return false;
  freed = std::move(found->second);
  by_begin_.erase(found);
  epoch_.fetch_add(1, std::memory_order_acq_rel);
  return true;
}

AllocationPointer Memory::nearest_below(std::uintptr_t address) {
  const std::shared_lock lock(mutex_);
  auto after = by_begin_.upper_bound(address);
  return after == by_begin_.begin() ? nullptr : std::prev(after)->second;
}

AllocationPointer Memory::find(std::uintptr_t address) {
  AllocationPointer found = nearest_below(address);
  return found != nullptr && address - found->begin < found->bytes ? found : nullptr;
}

void Memory::count(Live& live) {
  const std::shared_lock lock(mutex_);
  for (const auto& [begin, each] : by_begin_) {
    if (each->kind == Allocation::Kind::device) {
      ++live.device_allocations;
      live.device_bytes += each->bytes;
    } else if (each->kind == Allocation::Kind::pinned) {
      ++live.pinned_allocations;
      live.pinned_bytes += each->bytes;
    }
  }
}

Memory& memory() {
  static auto* const one = new Memory;  // threads may outlive static objects
  return *one;
}

namespace {

/// A piece of memory as the host sees it. `at` is null where the device's has no such bytes.
struct Piece {
  AllocationPointer of;
  std::size_t offset = 0;
  std::byte* at = nullptr;
};

Piece piece(const void* pointer, std::size_t bytes) {
  const auto address = reinterpret_cast<std::uintptr_t>(pointer);
  Piece found{memory().find(address)};
  if (found.of == nullptr) {
    found.at = static_cast<std::byte*>(const_cast<void*>(pointer));
    return found;
  }
  found.offset = address - found.of->begin;
  if (bytes <= found.of->bytes - found.offset) found.at = found.of->storage + found.offset;
  return found;
}

}  // namespace

bool in_one_piece(const void* pointer, std::size_t bytes) {
  return piece(pointer, bytes).at != nullptr;
}

bool copy_bytes(void* to, const void* from, std::size_t bytes) {
  const Piece target = piece(to, bytes);
  const Piece source = piece(from, bytes);
  if (target.at == nullptr || source.at == nullptr) return false;
  std::memmove(target.at, source.at, bytes);
  if (target.of != nullptr && target.of->written != nullptr) {
    unsigned char* const marks = target.of->written + target.offset;
    if (source.of != nullptr && source.of->written != nullptr) {
      std::memmove(marks, source.of->written + source.offset, bytes);
    } else {
      std::memset(marks, 1, bytes);
    }
  }
  return true;
}

bool fill_bytes(void* to, int value, std::size_t bytes) {
  const Piece target = piece(to, bytes);
  if (target.at == nullptr) return false;
  std::memset(target.at, value, bytes);
  if (target.of != nullptr && target.of->written != nullptr)
    std::memset(target.of->written + target.offset, 1, bytes);
  return true;
}

}  // namespace simt::detail

namespace simt {

const void* peek(const void* pointer, std::size_t bytes) {
  const detail::Piece found = detail::piece(pointer, bytes);
  if (found.at == nullptr) throw std::out_of_range("simt::peek: past the end of an allocation");
  return found.at;
}

void copy(void* to, const void* from, std::size_t bytes) {
  if (!detail::copy_bytes(to, from, bytes))
    throw std::out_of_range("simt::copy: past the end of an allocation");
}

bool written(const void* pointer, std::size_t bytes) {
  const detail::Piece found = detail::piece(pointer, bytes);
  if (found.at == nullptr) throw std::out_of_range("simt::written: past the end of an allocation");
  return found.of == nullptr || found.of->all_written(found.offset, bytes);
}

}  // namespace simt
