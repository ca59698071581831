// In place of device_cuda.cpp, in builds without CUDA.
#include "plan_ranks.hpp"
#include "plan_settings.hpp"

namespace sparccl::bench {

Communicator on_device(const Communicator&) {
  throw UsageError(
      "--backend cuda: this sparccl_plan was built without CUDA; build with -DSPARCCL_CUDA=ON on a "
      "machine with a GPU, or pass a file that was measured on one with --calibration, or use "
      "--backend host");
}

}  // namespace sparccl::bench
