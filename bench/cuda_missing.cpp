// stage_bench where it was built without CUDA.
#include <nlohmann/json.hpp>

#include "backends.hpp"

namespace sparccl::bench {

nlohmann::json measure_cuda(const Settings&) {
  throw NothingToMeasure("this stage_bench was built without CUDA (see SPARCCL_CUDA)");
}

}  // namespace sparccl::bench
