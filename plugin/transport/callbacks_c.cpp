#include <sparccl/transport.h>

#include "c_handles.hpp"
#include "transport/callbacks.hpp"

sparcclResult_t sparcclCommInitTransport(sparcclComm_t* comm, const sparcclTransport_t* transport,
                                         const sparcclConfig_t* config) {
  using namespace sparccl;
  return c::create_comm(comm, config, [&](const CommunicatorOptions& options) {
    c::require_not_null(transport, "transport");
    c::require_this_version(transport, {"transport", "SPARCCL_TRANSPORT_INITIALIZER",
                                        sizeof(sparcclTransport_t), SPARCCL_TRANSPORT_MAGIC});
    return Communicator(make_callback_transport(*transport, options), options);
  });
}
