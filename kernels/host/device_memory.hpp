// Tells memory of GPUs from the host's, in programs that use CUDA beside this library.
#pragma once

#include <string>

namespace sparccl::host {

/// Finds the CUDA driver if the process has loaded it, and loads nothing. May allocate: to be asked
/// when memory is allocated anyway.
void look_for_driver();

/// "memory of CUDA device 1" where `pointer` is that and the host cannot read it; else, or without
/// a driver, empty.
[[nodiscard]] std::string device_memory_at(const void* pointer);

}  // namespace sparccl::host
