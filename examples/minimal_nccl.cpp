// One thread drives all GPUs of this machine: two tensors on each, one call per tensor and step.

#include <cuda_runtime.h>
#include <nccl.h>

#include <sparccl/nccl.hpp>
#include <sparccl/sparccl.hpp>

#include <cstdio>
#include <stdexcept>
#include <vector>

void check(cudaError_t code) {
  if (code != cudaSuccess) throw std::runtime_error(cudaGetErrorString(code));
}
void check(ncclResult_t code) {
  if (code != ncclSuccess) throw std::runtime_error(ncclGetErrorString(code));
}

constexpr std::size_t n1 = 1'000'000, n2 = 10'000, bytes = (n1 + n2) * sizeof(float);
struct Gpu {
  explicit Gpu(const sparccl::Communicator& world) : comm(world), host(n1 + n2) {
    check(cudaSetDevice(comm.rank()));
    check(cudaStreamCreate(&stream));
    check(cudaMalloc(&gradient, bytes));
    for (std::size_t i = 0; i < n1 + n2; ++i) host[i] = float(i % 1009) + float(comm.rank());
  }
  sparccl::Communicator comm;
  sparccl::SparseAllreduce fc1{comm, "fc1", n1, sparccl::DataType::float32, {.density = 0.001}};
  sparccl::SparseAllreduce fc2{comm, "fc2", n2, sparccl::DataType::float32, {.density = 0.01}};
  cudaStream_t stream = nullptr;
  float* gradient = nullptr;  // of both tensors
  std::vector<float> host;
};

int main() {
  int count = 0;
  if (cudaGetDeviceCount(&count) != cudaSuccess || count == 0) {
    std::puts("no GPU, or no driver for it");
    return 77;  // skipped, to ctest
  }
  std::vector<ncclComm_t> nccl(static_cast<std::size_t>(count));
  check(ncclCommInitAll(nccl.data(), count, nullptr));
  std::vector<Gpu> gpus;
  for (const sparccl::Communicator& comm : sparccl::nccl_communicators(nccl))
    gpus.emplace_back(comm);
  for (int step = 0; step < 10; ++step) {
    sparccl::Group group;  // because one thread calls for several ranks
    for (Gpu& gpu : gpus) {
      check(cudaSetDevice(gpu.comm.rank()));
      check(cudaMemcpyAsync(gpu.gradient, gpu.host.data(), bytes, cudaMemcpyDefault, gpu.stream));
      gpu.fc1(gpu.gradient, gpu.gradient, 1.0, gpu.stream);  // instead of ncclAllReduce
      gpu.fc2(gpu.gradient + n1, gpu.gradient + n1, 1.0, gpu.stream);
    }
    group.end();
  }
  for (Gpu& gpu : gpus) {
    check(cudaMemcpyAsync(gpu.host.data(), gpu.gradient, bytes, cudaMemcpyDefault, gpu.stream));
    check(cudaStreamSynchronize(gpu.stream));
    if (gpu.host != gpus[0].host) throw std::runtime_error("results differ between GPUs");
    check(cudaFree(gpu.gradient));
    check(cudaStreamDestroy(gpu.stream));
  }
  gpus.clear();
  for (ncclComm_t comm : nccl) check(ncclCommDestroy(comm));
  std::printf("%d GPUs, %zu entries: the same result on each\n", count, n1 + n2);
}
