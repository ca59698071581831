#include "transport/nccl_api.hpp"

#include <dlfcn.h>

#include <cstdlib>
#include <memory>
#include <mutex>
#include <optional>
#include <string_view>

#include <sparccl/types.hpp>

namespace sparccl {
namespace {

constexpr int oldest = 21'800;  // the first with ncclCommSplit

/// A place to look for symbols in, and what to call it.
struct Library {
  void* handle = nullptr;
  std::string name;
};

/// The strong pncclX before the weak ncclX: whoever interposes ncclAllReduce means the program's
/// calls, not those beneath this library.
void* find(void* library, std::string_view function) {
  const std::string name(function);
  void* const strong = dlsym(library, ("p" + name).c_str());
  return strong != nullptr ? strong : dlsym(library, name.c_str());
}

/// Returns the name of the first function that the library lacks, or nothing.
std::optional<std::string> fill(NcclApi& api, void* library) {
  std::optional<std::string> missing;
  const auto get = [&]<class F>(F& function, const char* name) {
    function = reinterpret_cast<F>(find(library, name));
    if (function == nullptr && !missing) missing = name;
  };
  get(api.get_version, "ncclGetVersion");
  get(api.get_error_string, "ncclGetErrorString");
  get(api.get_last_error, "ncclGetLastError");
  get(api.comm_split, "ncclCommSplit");
  get(api.comm_finalize, "ncclCommFinalize");
  get(api.comm_destroy, "ncclCommDestroy");
  get(api.comm_abort, "ncclCommAbort");
  get(api.comm_get_async_error, "ncclCommGetAsyncError");
  get(api.comm_count, "ncclCommCount");
  get(api.comm_user_rank, "ncclCommUserRank");
  get(api.comm_cu_device, "ncclCommCuDevice");
  get(api.all_gather, "ncclAllGather");
  get(api.all_reduce, "ncclAllReduce");
  get(api.reduce_scatter, "ncclReduceScatter");
  get(api.reduce, "ncclReduce");
  get(api.broadcast, "ncclBroadcast");
  get(api.send, "ncclSend");
  get(api.recv, "ncclRecv");
  get(api.group_start, "ncclGroupStart");
  get(api.group_end, "ncclGroupEnd");
  return missing;
}

std::string file_of(const NcclApi& api, const std::string& otherwise) {
  Dl_info info{};
  const bool found = dladdr(reinterpret_cast<void*>(api.get_version), &info) != 0;
  return found && info.dli_fname != nullptr ? info.dli_fname : otherwise;
}

std::string show(int version) {
  const int patch = version % 100;
  const int minor = version / 100 % 100;
  if (version < 10'000) {  // before 2.9
    return std::to_string(version / 1000) + "." + std::to_string(version / 100 % 10) + "." +
           std::to_string(patch);
  }
  return std::to_string(version / 10'000) + "." + std::to_string(minor) + "." +
         std::to_string(patch);
}

Library open(const char* name) {
  void* const handle = dlopen(name, RTLD_LAZY | RTLD_LOCAL);
  if (handle != nullptr) return {handle, name};
  const char* const why = dlerror();
  throw Error(Result::system_error,
              std::string("NCCL: expected a library ") + name +
                  ", found that it does not load: " + (why != nullptr ? why : "no reason given"));
}

/// Python and others load NCCL where RTLD_DEFAULT does not look; its file name finds it there.
Library choose() {
  constexpr const char* usual = "libnccl.so.2";
  const char* const named = std::getenv("SPARCCL_NCCL_LIBRARY");
  if (named != nullptr && *named != '\0') return open(named);
  NcclApi probe;
  if (!fill(probe, RTLD_DEFAULT)) return {RTLD_DEFAULT, "NCCL of this program"};
  if (void* const loaded = dlopen(usual, RTLD_LAZY | RTLD_NOLOAD)) return {loaded, usual};
  return open(usual);
}

NcclApi load() {
  const Library library = choose();
  NcclApi api;
  // Looked at first: a function that is missing may well be one that an old library cannot have.
  api.get_version =
      reinterpret_cast<decltype(api.get_version)>(find(library.handle, "ncclGetVersion"));
  int version = 0;
  if (api.get_version != nullptr && api.get_version(&version) == ncclSuccess && version < oldest) {
    throw Error(Result::system_error, "NCCL: expected " + show(oldest) + " or later, found " +
                                          show(version) + " (" + file_of(api, library.name) + ")");
  }
  if (const std::optional<std::string> missing = fill(api, library.handle)) {
    throw Error(Result::system_error, "NCCL: expected a function " + *missing + ", found none in " +
                                          file_of(api, library.name));
  }
  return api;
}

}  // namespace

std::string NcclApi::words(ncclResult_t code) const {
  const char* const meaning = get_error_string(code);
  const char* const last = get_last_error(nullptr);
  std::string text = meaning != nullptr ? meaning : "code " + std::to_string(code);
  if (last != nullptr && *last != '\0') text += std::string(": ") + last;
  return text;
}

const NcclApi& nccl_api() {
  static std::mutex mutex;
  static const NcclApi* api = nullptr;  // never freed: threads of NCCL outlive static objects
  const std::lock_guard<std::mutex> lock(mutex);
  if (api == nullptr) api = std::make_unique<NcclApi>(load()).release();
  return *api;
}

}  // namespace sparccl
