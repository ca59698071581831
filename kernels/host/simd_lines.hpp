// The loop of Simd::write_lines. As simd_loop.hpp: included by one file per instruction set, and
// nothing here may be shared with other files.
//
// A set is a struct with zero(to) and move(to, from), which writes a line and leaves zeros behind.
#pragma once

#include <cstddef>
#include <cstdint>

namespace sparccl::host {
namespace {

template <class Set>
void write_lines(void* to, void* from, const std::uint64_t* set, std::size_t lines) {
  auto* target = static_cast<std::byte*>(to);
  auto* source = static_cast<std::byte*>(from);
  for (std::size_t begin = 0; begin < lines; begin += 64) {
    const std::size_t end = lines - begin < 64 ? lines - begin : 64;
    std::size_t line = 0;
    for (std::uint64_t bits = set[begin / 64]; bits != 0; bits &= bits - 1) {
      const auto next = static_cast<std::size_t>(__builtin_ctzll(bits));
      for (; line < next; ++line) Set::zero(target + (begin + line) * 64);
      Set::move(target + (begin + line) * 64, source + (begin + line) * 64);
      ++line;
    }
    for (; line < end; ++line) Set::zero(target + (begin + line) * 64);
  }
}

}  // namespace
}  // namespace sparccl::host
