// A program that takes CUDA if it is there: without NCCL, a driver or a device it starts all the
// same and is told so.
#include <cstdio>
#include <string>

#include <sparccl/cuda.hpp>
#include <sparccl/nccl.hpp>

int main() {
  const auto ranks = sparccl::Communicator::local(1);
  try {
    const sparccl::Communicator device = sparccl::cuda_communicator(ranks[0]);
    if (device.size() != 1) return 1;
  } catch (const sparccl::Error& error) {
    if (error.code() != sparccl::Result::system_error) return 1;
    if (std::string(error.what()).find("expected") == std::string::npos) return 1;
    std::printf("%s\n", error.what());
  }
  try {
    static_cast<void>(sparccl::nccl_communicator(nullptr));
    return 1;
  } catch (const sparccl::Error& error) {  // invalid_argument where there is all that it takes
    std::printf("%s\n", error.what());
  }
  return 0;
}
