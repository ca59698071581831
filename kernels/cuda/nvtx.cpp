#include "cuda/nvtx.hpp"

#include <nvtx3/nvToolsExt.h>

namespace sparccl::cuda {
namespace {

/// Never destroyed: a tensor may outlive whatever is static here.
nvtxDomainHandle_t domain() noexcept {
  static const nvtxDomainHandle_t one = nvtxDomainCreateA("sparccl");
  return one;
}

}  // namespace

void push_range(const char* name) noexcept {
  nvtxEventAttributes_t attributes{};
  attributes.version = NVTX_VERSION;
  attributes.size = NVTX_EVENT_ATTRIB_STRUCT_SIZE;
  attributes.messageType = NVTX_MESSAGE_TYPE_ASCII;
  attributes.message.ascii = name;
  static_cast<void>(nvtxDomainRangePushEx(domain(), &attributes));
}

void pop_range() noexcept { static_cast<void>(nvtxDomainRangePop(domain())); }

}  // namespace sparccl::cuda
