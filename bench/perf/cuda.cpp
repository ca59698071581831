// Ranks whose tensors are in the memory of CUDA devices.
#include <cuda_runtime.h>

#include <string>

#include <sparccl/cuda.hpp>

#include "build.hpp"
#include "cuda/runtime.hpp"
#include "device.hpp"
#include "failures.hpp"

namespace sparccl::perf {
namespace build {
const bool has_cuda = true;
const char* const how_to_get_cuda = "";
}  // namespace build

namespace {

class CudaDevice final : public Device {
 public:
  explicit CudaDevice(bool over_nccl) : over_nccl_(over_nccl) {}

  Buffer allocate(std::size_t bytes) override {
    void* memory = nullptr;
    cuda::check(cudaMalloc(&memory, bytes));
    Buffer buffer(memory, [](void* of) { static_cast<void>(cudaFree(of)); });
    cuda::check(cudaMemset(memory, 0, bytes));
    return buffer;
  }
  void upload(void* to, const void* from, std::size_t bytes) override {
    copy(to, from, bytes);
    synchronize();
  }
  void download(void* to, const void* from, std::size_t bytes) override {
    copy(to, from, bytes);
    synchronize();
  }
  void copy(void* to, const void* from, std::size_t bytes) override {
    cuda::check(cudaMemcpyAsync(to, from, bytes, cudaMemcpyDefault, stream_.get()));
  }
  void synchronize() override { cuda::check(cudaStreamSynchronize(stream_.get())); }
  Stream stream() override { return stream_.get(); }
  std::size_t available() override {
    std::size_t free = 0, total = 0;
    cuda::check(cudaMemGetInfo(&free, &total));
    return free;
  }
  std::string name() override {
    int device = 0;
    cuda::check(cudaGetDevice(&device));
    cudaDeviceProp properties{};
    cuda::check(cudaGetDeviceProperties(&properties, device));
    return properties.name;
  }
  Communicator communicator(const Communicator& of_ranks) override {
    return over_nccl_ ? of_ranks : cuda_communicator(of_ranks);
  }

 private:
  bool over_nccl_;
  cuda::OwnStream stream_;
};

int device_count() {
  int count = 0;
  const cudaError_t code = cudaGetDeviceCount(&count);
  if (code == cudaSuccess && count > 0) return count;
  throw UsageError(std::string("no GPU: CUDA finds no device here, or no driver for it (") +
                   cudaGetErrorString(code == cudaSuccess ? cudaErrorNoDevice : code) +
                   "); run it on a machine that has one, or use --backend host with --transport "
                   "local or mpi");
}

}  // namespace

void require_gpus(int ranks, bool can_share) {
  const int devices = device_count();
  if (can_share || ranks <= devices) return;
  throw UsageError("--transport nccl: " + std::to_string(ranks) + " ranks (-t times -g), found " +
                   std::to_string(devices) + " GPUs, and NCCL wants one for each; use fewer");
}

std::unique_ptr<Device> cuda_device(Ranks& ranks, bool over_nccl) {
  cuda::check(cudaSetDevice(ranks.number_here() % device_count()));
  return std::make_unique<CudaDevice>(over_nccl);
}

}  // namespace sparccl::perf
