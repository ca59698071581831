#include "shim/call.hpp"

namespace sparccl::shim {

std::string show(const Key& key) {
  return std::to_string(key.count) + " " + name_of(key.type) + " " + name_of(key.reduction);
}

const char* text_of(Reason reason) noexcept {
  switch (reason) {
    case Reason::disabled: return "SPARCCL_DISABLE is set";
    case Reason::one_rank: return "the communicator has one rank";
    case Reason::intercomm: return "an inter-communicator";
    case Reason::group: return "inside of a group";
    case Reason::capture: return "the stream is being captured";
    case Reason::operation: return "an operation other than sum and average";
    case Reason::type: return "a type that is not reduced sparsely";
    case Reason::device_memory: return "device memory";
    case Reason::host_memory: return "not memory of the rank's device";
    case Reason::small: return "fewer than SPARCCL_MIN_COUNT entries";
    case Reason::not_matched: return "left out by SPARCCL_MATCH";
    case Reason::no_threads: return "nonblocking without MPI_THREAD_MULTIPLE";
    case Reason::not_met: return "nonblocking before any blocking call";
    case Reason::learning: return "learning which calls make a step";
    case Reason::outside_step: return "not one of the calls of a step";
    case Reason::warm_up: return "SPARCCL_WARMUP_STEPS";
  }
  return "unknown";
}

}  // namespace sparccl::shim
