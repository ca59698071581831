// The stages on the memory of a CUDA device.
#pragma once

#include <memory>

#include "stages.hpp"

namespace sparccl {

/// On the device that is present on the calling thread, and on it ever after. Throws
/// Error(system_error) that says what was found and what is expected where there is no driver, one
/// that is too old, or no device that runs cooperative launches.
[[nodiscard]] std::unique_ptr<Backend> make_cuda_backend();

}  // namespace sparccl
