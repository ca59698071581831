#include <string>

#include <sparccl/cuda.hpp>

#include "plan_ranks.hpp"
#include "plan_settings.hpp"

namespace sparccl::bench {

Communicator on_device(const Communicator& host) {
  try {
    return cuda_communicator(host);
  } catch (const Error& error) {
    throw UsageError(std::string("--backend cuda: ") + error.what() +
                     "; measure on a machine with a GPU (--probe --save FILE) and pass the file "
                     "with --calibration, or use --backend host");
  }
}

}  // namespace sparccl::bench
