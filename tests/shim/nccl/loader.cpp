// The client as Python has its libraries: loaded at run time, for itself alone.
//
// usage: loader LIBRARY [arguments of the client]
#include <dlfcn.h>

#include <cstdio>

int main(int argc, char** argv) {
  void* const library = argc > 1 ? dlopen(argv[1], RTLD_NOW | RTLD_LOCAL) : nullptr;
  using Main = int(int, char**);
  auto* const client =
      library != nullptr ? reinterpret_cast<Main*>(dlsym(library, "client_main")) : nullptr;
  if (client == nullptr) {
    std::printf("%s\n", dlerror());
    return 2;
  }
  return client(argc - 1, argv + 1);
}
