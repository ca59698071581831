// A counter that runs evenly and is cheap to read, for ratios of times alone.
#pragma once

#include <cstdint>

namespace sparccl {

/// Of unknown length. Of other processors' counters it may differ.
[[nodiscard]] std::uint64_t ticks() noexcept;

}  // namespace sparccl
