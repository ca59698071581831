// Whether there is a CUDA device to work on.
#pragma once

namespace sparccl {

/// Throws Error(system_error) that says what was expected and found where there is no driver, one
/// too old for this library's runtime, or no device.
void require_cuda();

}  // namespace sparccl
