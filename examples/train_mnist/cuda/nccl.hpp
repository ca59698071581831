// Checked calls of NCCL, and an owner of its communicator.
#pragma once

#include <nccl.h>

#include <exception>
#include <source_location>
#include <string>

#include "cuda/owners.hpp"

namespace mnist::cuda {

inline void check(ncclResult_t code, std::source_location where = std::source_location::current()) {
  if (code == ncclSuccess) return;
  fail(std::string("NCCL: ") + ncclGetErrorString(code) + ": " + ncclGetLastError(nullptr), where);
}

/// One rank's end of NCCL's communicator, on the present device. Collective.
class NcclCommunicator {
 public:
  NcclCommunicator(int rank, int size, const ncclUniqueId& id) {
    check(ncclCommInitRank(&communicator_, size, id, rank));
  }
  ~NcclCommunicator() {
    // After a failure the other ranks may never come, and destroying might wait for them.
    static_cast<void>(std::uncaught_exceptions() > 0 ? ncclCommAbort(communicator_)
                                                     : ncclCommDestroy(communicator_));
  }
  NcclCommunicator(const NcclCommunicator&) = delete;
  NcclCommunicator& operator=(const NcclCommunicator&) = delete;
  [[nodiscard]] ncclComm_t get() const noexcept { return communicator_; }

 private:
  ncclComm_t communicator_ = nullptr;
};

}  // namespace mnist::cuda
