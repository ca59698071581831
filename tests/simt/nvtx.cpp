// A tool that listens to NVTX.
#include <nvtx3/nvToolsExt.h>

#include <list>
#include <map>
#include <mutex>

#include "simt.hpp"

struct nvtxDomainRegistration_st {
  std::string name;
};

namespace {

struct Recorder {
  bool listens = false;
  std::string text;
  std::map<nvtxDomainHandle_t, int> depths;
};
thread_local Recorder recorder;

}  // namespace

namespace simt {

void record_ranges() { recorder = {.listens = true, .text = {}, .depths = {}}; }

std::string recorded_ranges() { return recorder.text; }

}  // namespace simt

nvtxDomainHandle_t nvtxDomainCreateA(const char* name) {
  static std::mutex mutex;
  static std::list<nvtxDomainRegistration_st> domains;
  const std::scoped_lock lock(mutex);
  return &domains.emplace_back(name);
}

int nvtxDomainRangePushEx(nvtxDomainHandle_t domain, const nvtxEventAttributes_t* attributes) {
  if (!recorder.listens) return -2;
  if (attributes == nullptr || attributes->version != NVTX_VERSION ||
      attributes->size != NVTX_EVENT_ATTRIB_STRUCT_SIZE ||
      attributes->messageType != NVTX_MESSAGE_TYPE_ASCII) {
    recorder.text += "?(";
    return -1;
  }
  int& depth = recorder.depths[domain];
  if (depth == 0) recorder.text += (domain == nullptr ? "" : domain->name) + ":";
  recorder.text += std::string(attributes->message.ascii) + "(";
  return depth++;
}

int nvtxDomainRangePop(nvtxDomainHandle_t domain) {
  if (!recorder.listens) return -2;
  int& depth = recorder.depths[domain];
  recorder.text += depth > 0 ? ")" : "!";
  return depth > 0 ? --depth : -2;
}
