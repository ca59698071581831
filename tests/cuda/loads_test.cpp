// libsparccl_cuda loads, with every symbol bound, where there is neither a driver nor NCCL:
// programs that can run without a GPU may link it.
#include <dlfcn.h>

#include <cstdio>
#include <fstream>
#include <string>

int main(int argc, char** argv) {
  if (argc != 2) {
    std::fputs("usage: loads_test libsparccl_cuda.so\n", stderr);
    return 2;
  }
  void* library = dlopen(argv[1], RTLD_NOW | RTLD_LOCAL);
  if (library == nullptr) {
    std::printf("%s\n", dlerror());
    return 1;
  }
  int wrong = 0;
  for (const char* name : {"sparcclCommInitNccl"}) {
    if (dlsym(library, name) == nullptr) {
      std::printf("it has no %s\n", name);
      ++wrong;
    }
  }
  // Not even where they are installed: that is for the first communicator to do.
  std::ifstream maps("/proc/self/maps");
  for (std::string line; std::getline(maps, line);) {
    if (line.find("libcuda.so") != std::string::npos || line.find("libnccl") != std::string::npos) {
      std::printf("it loaded %s\n", line.c_str());
      ++wrong;
    }
  }
  return wrong == 0 ? 0 : 1;
}
