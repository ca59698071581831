#include "shim/nccl/statically_linked.hpp"

#include <dlfcn.h>
#include <link.h>
#include <string.h>

#include <algorithm>

namespace sparccl::shim::nccl {
namespace {

/// How every release of NCCL begins to tell its version. Backwards here, or this library would seem
/// to have NCCL inside.
std::string marker() {
  std::string text = ".2 noisrev LCCN";
  std::ranges::reverse(text);
  return text;
}

struct Search {
  std::string text = marker();
  const char* function = static_cast<const char*>(dlsym(RTLD_DEFAULT, "pncclAllReduce"));
  bool first_only = false;  // the program itself comes first
  std::vector<std::string> files;
};

bool has_nccl(const dl_phdr_info& object, const Search& search) {
  for (int i = 0; i < object.dlpi_phnum; ++i) {
    const ElfW(Phdr)& segment = object.dlpi_phdr[i];
    const bool constant = (segment.p_flags & PF_R) != 0 && (segment.p_flags & PF_W) == 0;
    if (segment.p_type != PT_LOAD || !constant) continue;
    const auto* const begin = reinterpret_cast<const char*>(object.dlpi_addr + segment.p_vaddr);
    if (begin <= search.function && search.function < begin + segment.p_filesz) return true;
    const void* const found =
        memmem(begin, segment.p_filesz, search.text.data(), search.text.size());
    if (found != nullptr) return true;
  }
  return false;
}

int look_at(dl_phdr_info* object, std::size_t, void* data) {
  auto& search = *static_cast<Search*>(data);
  const bool program = object->dlpi_name == nullptr || *object->dlpi_name == '\0';
  if (has_nccl(*object, search)) {
    search.files.emplace_back(program ? "the program itself" : object->dlpi_name);
  }
  return search.first_only ? 1 : 0;
}

}  // namespace

bool is_in_executable() {
  Search search;
  search.first_only = true;
  dl_iterate_phdr(look_at, &search);
  return !search.files.empty();
}

std::vector<std::string> files_with_nccl() {
  Search search;
  dl_iterate_phdr(look_at, &search);
  return search.files;
}

}  // namespace sparccl::shim::nccl
