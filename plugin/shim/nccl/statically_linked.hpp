// NCCL where no shim can stand before it: inside of a program that was linked with
// libnccl_static.a.
#pragma once

#include <string>
#include <vector>

namespace sparccl::shim::nccl {

/// Whether the program's own file has NCCL inside. Reads what is mapped of it.
[[nodiscard]] bool is_in_executable();

/// All files of the process that have it inside. Takes a moment where there are large libraries.
[[nodiscard]] std::vector<std::string> files_with_nccl();

}  // namespace sparccl::shim::nccl
