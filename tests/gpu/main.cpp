// main() of tests that run on a GPU: without one, nothing is run, and the exit code says so.
#include <cuda_runtime.h>
#include <gtest/gtest.h>

#include <cstdio>

int main(int argc, char** argv) {
  testing::InitGoogleTest(&argc, argv);
  int devices = 0;
  const cudaError_t code = cudaGetDeviceCount(&devices);
  if (code != cudaSuccess || devices == 0) {
    std::printf("nothing was run: no GPU: %s\n", cudaGetErrorString(code));
    return 77;
  }
  return RUN_ALL_TESTS();
}
