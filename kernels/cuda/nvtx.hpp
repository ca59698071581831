// Ranges for profilers, by NVTX.
#pragma once

namespace sparccl::cuda {

/// Nested on the calling thread, in the domain "sparccl". name is copied by whoever listens; where
/// nobody does, a call costs some nanoseconds.
void push_range(const char* name) noexcept;
void pop_range() noexcept;

}  // namespace sparccl::cuda
