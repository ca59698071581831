#include <sparccl/mpi.h>

#include <sparccl/mpi.hpp>

#include "c_handles.hpp"

sparcclResult_t sparcclCommInitMpi(sparcclComm_t* comm, MPI_Comm mpi_comm,
                                   const sparcclConfig_t* config) {
  return sparccl::c::create_comm(comm, config, [&](const sparccl::CommunicatorOptions& options) {
    return sparccl::mpi_communicator(mpi_comm, options);
  });
}
