// A program that was linked with libnccl_static.a, as far as can be told from outside: it tells
// NCCL's version, and nothing that it calls is seen.
#include <cstdio>

int main(int argc, char**) {
  static const char* volatile words = "NCCL version 2.28.9+cuda13.0";
  std::puts(argc > 1 ? words : "done");
  return 0;
}
