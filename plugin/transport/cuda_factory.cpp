#include <memory>

#include <sparccl/cuda.hpp>

#include "communicator.hpp"
#include "cuda/cuda_backend.hpp"
#include "transport/cuda_device.hpp"
#include "transport/staged.hpp"

namespace sparccl {

Communicator cuda_communicator(const Communicator& host) {
  require_cuda();
  return Communicator(std::make_unique<StagedTransport>(host), make_cuda_backend(),
                      host.impl()->options());
}

}  // namespace sparccl
