// The time stamp counter: a fraction of what the clock takes, which converts it and waits for all
// instructions before it.
#include <x86intrin.h>

#include "ticks.hpp"

namespace sparccl {

std::uint64_t ticks() noexcept { return __rdtsc(); }

}  // namespace sparccl
