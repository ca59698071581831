#include "shim/mpi/family.hpp"

#include <dlfcn.h>
#include <unistd.h>

#include <cstdio>

namespace sparccl::shim::mpi {

void require_own_family() {
  const Family& own = family();
  for (const char* const* name = own.others_libraries; *name != nullptr; ++name) {
    if (dlopen(*name, RTLD_LAZY | RTLD_NOLOAD) == nullptr) continue;
    std::fprintf(
        stderr,
        "libsparccl-mpi: expected a program of %s, which this shim is built for, found one "
        "that has loaded %s, of %s: preload the shim that is built with that\n",
        own.name, *name, own.other);
    _exit(2);
  }
}

}  // namespace sparccl::shim::mpi
