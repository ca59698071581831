#include <memory>

#include <sparccl/nccl.hpp>

#include "cuda/cuda_backend.hpp"
#include "transport/cuda_device.hpp"
#include "transport/nccl.hpp"

namespace sparccl {

Communicator nccl_communicator(ncclComm_t communicator, const CommunicatorOptions& options) {
  require_cuda();
  auto transport = std::make_unique<NcclTransport>(communicator, options);
  return Communicator(std::move(transport), make_cuda_backend());
}

}  // namespace sparccl
