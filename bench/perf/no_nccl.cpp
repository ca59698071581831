// In place of nccl.cpp, in builds without CUDA or without libnccl.so.
#include "build.hpp"
#include "failures.hpp"
#include "ranks.hpp"

namespace sparccl::perf {
namespace build {
const bool has_nccl = false;
const char* const how_to_get_nccl =
    "--transport nccl: this sparccl_perf was built without NCCL; where nvcc and NCCL (libnccl-dev) "
    "are installed, cmake --preset cuda && cmake --build --preset cuda --target sparccl_perf";
}  // namespace build

int run_nccl(int, const Body&) { throw UsageError(build::how_to_get_nccl); }

}  // namespace sparccl::perf
