// In place of cuda.cpp, in builds without CUDA.
#include "build.hpp"
#include "device.hpp"
#include "failures.hpp"

namespace sparccl::perf {
namespace build {
const bool has_cuda = false;
const char* const how_to_get_cuda =
    "this sparccl_perf was built without CUDA; where nvcc and NCCL's header are installed, cmake "
    "--preset cuda && cmake --build --preset cuda --target sparccl_perf";
}  // namespace build

std::unique_ptr<Device> cuda_device(Ranks&, bool) { throw UsageError(build::how_to_get_cuda); }
void require_gpus(int, bool) { throw UsageError(build::how_to_get_cuda); }

}  // namespace sparccl::perf
