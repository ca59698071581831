// Writes past the caches: memory is not read first, and what lies in the caches stays there.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>

#include "host/simd.hpp"

namespace sparccl::host {

/// Results below this size stay in the cache for whoever reads them next.
inline constexpr std::size_t stream_from_bytes = std::size_t{1} << 20;

inline constexpr std::size_t line_bytes = 64;

inline void write_zeros(const Simd& simd, void* memory, std::size_t bytes) {
  if (bytes < stream_from_bytes) {
    std::memset(memory, 0, bytes);
    return;
  }
  auto* const begin = static_cast<std::byte*>(memory);
  const std::size_t head = -reinterpret_cast<std::uintptr_t>(memory) % line_bytes;
  const std::size_t lines = (bytes - head) / line_bytes;
  const std::size_t tail = head + lines * line_bytes;
  static constexpr std::array<std::uint64_t, 64> none{};
  constexpr std::size_t most = 64 * none.size();  // at once
  std::memset(begin, 0, head);
  for (std::size_t line = 0; line < lines; line += most) {
    std::byte* const at = begin + head + line * line_bytes;
    simd.write_lines(at, at, none.data(), std::min(most, lines - line));
  }
  std::memset(begin + tail, 0, bytes - tail);
  simd.fence();
}

}  // namespace sparccl::host
