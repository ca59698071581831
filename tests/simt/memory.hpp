// What was allocated: addresses that devices may use, where their bytes are, and which are written.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <shared_mutex>

#include "simt.hpp"

namespace simt::detail {

/// Device memory has addresses of its own, which no host may use: `begin` is in a mapping without
/// rights, the bytes are at `storage`.
struct Allocation {
  enum class Kind { device, pinned, registered };
  Allocation(Kind of_kind, int of_device, std::size_t size, void* registered);
  ~Allocation();
  Allocation(const Allocation&) = delete;
  Allocation& operator=(const Allocation&) = delete;

  Kind kind;
  int device;
  std::size_t bytes;
  std::uintptr_t begin = 0;
  std::byte* storage = nullptr;
  unsigned char* written = nullptr;  // a 1 for each byte that was; null: host memory

  [[nodiscard]] bool all_written(std::size_t offset, std::size_t size) const;
};

using AllocationPointer = std::shared_ptr<Allocation>;

class Memory {
 public:
  /// Null where there is no memory left.
  AllocationPointer allocate(Allocation::Kind kind, int device, std::size_t bytes,
                             void* registered = nullptr);
  /// False where nothing of this kind begins there.
  bool free(const void* pointer, Allocation::Kind kind);
  /// The one that holds the address, or null.
  [[nodiscard]] AllocationPointer find(std::uintptr_t address);
  /// The one that ends last of those that begin at or below, for messages.
  [[nodiscard]] AllocationPointer nearest_below(std::uintptr_t address);
  /// Changes whenever what find() returned may be gone.
  [[nodiscard]] std::uint64_t epoch() const { return epoch_.load(std::memory_order_acquire); }
  void count(Live& live);

 private:
  std::shared_mutex mutex_;
  std::map<std::uintptr_t, AllocationPointer> by_begin_;
  std::atomic<std::uint64_t> epoch_{1};
};

Memory& memory();

/// Whether `bytes` from there on are in one allocation, or in none (plain host memory).
[[nodiscard]] bool in_one_piece(const void* pointer, std::size_t bytes);
/// False where an address lies in no live memory any more.
bool copy_bytes(void* to, const void* from, std::size_t bytes);
bool fill_bytes(void* to, int value, std::size_t bytes);

}  // namespace simt::detail
