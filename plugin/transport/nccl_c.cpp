#include <sparccl/nccl.h>

#include <sparccl/nccl.hpp>

#include "c_handles.hpp"

sparcclResult_t sparcclCommInitNccl(sparcclComm_t* comm, ncclComm_t nccl_comm,
                                    const sparcclConfig_t* config) {
  return sparccl::c::create_comm(comm, config, [&](const sparccl::CommunicatorOptions& options) {
    return sparccl::nccl_communicator(nccl_comm, options);
  });
}
