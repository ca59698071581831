// Where there is no counter to read.
#include <chrono>

#include "ticks.hpp"

namespace sparccl {

std::uint64_t ticks() noexcept {
  return static_cast<std::uint64_t>(std::chrono::steady_clock::now().time_since_epoch().count());
}

}  // namespace sparccl
