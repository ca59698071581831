// From the moment the shim is loaded to the end of the process.
#pragma once

#include <cstddef>
#include <string>

namespace sparccl::shim::nccl {

/// The program makes a communicator: id as ncclGetUniqueId gave it, or nothing.
void communicator_made(const void* id, std::size_t bytes, int rank, int size) noexcept;

/// The first allreduce of a communicator. From now on signals are heard.
void begin(int rank, int size) noexcept;

/// From now on the end of the process is what ends the communicators that are left. Called when
/// CUDA is in use, so that it is still there then.
void end_at_exit();

/// "process3.": this process's rank in its job, as launchers tell it; "" where none does.
[[nodiscard]] std::string process_stem();

}  // namespace sparccl::shim::nccl
