// Whether the table of NCCL's functions is filled, and what it says if not.
//
// usage: nccl_library_test found|missing <words that the outcome must contain> [library to load
// first]
#include <dlfcn.h>

#include <cstdio>
#include <string>

#include <sparccl/types.hpp>

#include "transport/nccl_api.hpp"

namespace {

const char* file_of(const void* function) {
  Dl_info info{};
  return dladdr(function, &info) != 0 ? info.dli_fname : "no file";
}

/// What looking for NCCL comes to: its version and file, or the sentence of the error.
std::string outcome(bool* found) {
  try {
    const sparccl::NcclApi& api = sparccl::nccl_api();
    int version = 0;
    *found = api.get_version(&version) == ncclSuccess && &api == &sparccl::nccl_api();
    return "version " + std::to_string(version) + ": " + api.words(ncclSystemError) +
           "; ncclAllReduce in " + file_of(reinterpret_cast<const void*>(api.all_reduce));
  } catch (const sparccl::Error& error) {
    *found = error.code() != sparccl::Result::system_error;
    return error.what();
  }
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 3) return 2;
  if (argc > 3 && dlopen(argv[3], RTLD_NOW | RTLD_LOCAL) == nullptr) {  // as Python does
    std::printf("%s\n", dlerror());
    return 2;
  }
  bool found = false;
  const std::string words = outcome(&found);
  std::printf("%s\n", words.c_str());
  const bool expected = found == (std::string(argv[1]) == "found");
  return expected && words.find(argv[2]) != std::string::npos ? 0 : 1;
}
