#include "shim/nccl/real.hpp"

#include <dlfcn.h>
#include <link.h>

#include <algorithm>
#include <cstdint>

#include "shim/process.hpp"

namespace sparccl::shim::nccl {
namespace {

constexpr const char* library_name = "libnccl.so.2";

void* find_in(void* library, const std::string& function) {
  void* const strong = dlsym(library, ("p" + function).c_str());
  return strong != nullptr ? strong : dlsym(library, function.c_str());
}

/// Where the object lies in which an address is.
struct Extent {
  std::uintptr_t address;
  std::uintptr_t begin = UINTPTR_MAX;
  std::uintptr_t end = 0;
};

int look_at(dl_phdr_info* object, std::size_t, void* data) {
  auto& wanted = *static_cast<Extent*>(data);
  Extent extent{wanted.address};
  for (int i = 0; i < object->dlpi_phnum; ++i) {
    const ElfW(Phdr)& segment = object->dlpi_phdr[i];
    if (segment.p_type != PT_LOAD) continue;
    const std::uintptr_t begin = object->dlpi_addr + segment.p_vaddr;
    extent.begin = std::min(extent.begin, begin);
    extent.end = std::max(extent.end, begin + segment.p_memsz);
  }
  if (wanted.address < extent.begin || wanted.address >= extent.end) return 0;
  wanted = extent;
  return 1;
}

}  // namespace

void* find_real(const char* function) {
  if (void* const next = find_in(RTLD_NEXT, function)) return next;
  void* const library = dlopen(library_name, RTLD_LAZY | RTLD_NOLOAD);
  return library != nullptr ? find_in(library, function) : nullptr;
}

bool has_library() {
  void* const library = dlopen(library_name, RTLD_LAZY | RTLD_NOLOAD);
  if (library != nullptr) dlclose(library);
  return library != nullptr;
}

std::string file_of(const void* address) {
  Dl_info info{};
  const bool found = dladdr(address, &info) != 0 && info.dli_fname != nullptr;
  return found ? info.dli_fname : "";
}

bool is_in_nccl(const void* address) {
  static const Extent nccl = [] {
    const auto known = reinterpret_cast<std::uintptr_t>(real::comm_get_async_error.get());
    Extent extent{known};
    dl_iterate_phdr(look_at, &extent);
    return extent;
  }();
  const auto asked = reinterpret_cast<std::uintptr_t>(address);
  return nccl.begin <= asked && asked < nccl.end;
}

ncclResult_t missing(const char* function) noexcept try {
  process().log().warn(std::string(function) + ": expected the program to have loaded " +
                       library_name + " with this function, found none: the call fails");
  return ncclSystemError;
} catch (...) {
  return ncclSystemError;
}

std::string words(ncclResult_t code) {
  using Words = const char*(ncclResult_t);
  auto* const find_words = reinterpret_cast<Words*>(find_real("ncclGetErrorString"));
  const char* const found = find_words != nullptr ? find_words(code) : nullptr;
  return found != nullptr ? found : "code " + std::to_string(static_cast<int>(code));
}

}  // namespace sparccl::shim::nccl
