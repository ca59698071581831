#include <exception>
#include <memory>
#include <optional>
#include <thread>

#include <sparccl/nccl.hpp>

#include "cuda/cuda_backend.hpp"
#include "cuda/runtime.hpp"
#include "transport/cuda_device.hpp"
#include "transport/nccl.hpp"

namespace sparccl {

Communicator nccl_communicator(ncclComm_t communicator, const CommunicatorOptions& options) {
  require_cuda();
  auto transport = std::make_unique<NcclTransport>(communicator, options);
  return Communicator(std::move(transport), make_cuda_backend(), options);
}

/// Each waits for the others, so each is made on a thread of its own.
std::vector<Communicator> nccl_communicators(std::span<const ncclComm_t> communicators,
                                             const CommunicatorOptions& options) {
  require_cuda();
  const NcclApi& api = nccl_api();
  std::vector<int> devices;
  for (const ncclComm_t communicator : communicators) {  // what is no communicator is found here
    int device = 0;
    const ncclResult_t code = api.comm_cu_device(communicator, &device);
    if (code != ncclSuccess) {
      throw Error(code_of(code), "communicator " + std::to_string(devices.size()) +
                                     ": ncclCommCuDevice failed: " + api.words(code));
    }
    devices.push_back(device);
  }
  std::vector<std::optional<Communicator>> made(communicators.size());
  std::vector<std::exception_ptr> failures(communicators.size());
  std::vector<std::thread> threads;
  for (std::size_t i = 0; i < communicators.size(); ++i) {
    threads.emplace_back([&, i] {
      try {
        const cuda::DeviceGuard present(devices[i]);
        made[i] = nccl_communicator(communicators[i], options);
      } catch (...) {
        failures[i] = std::current_exception();
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  std::vector<Communicator> all;
  for (std::size_t i = 0; i < communicators.size(); ++i) {
    if (failures[i] != nullptr) std::rethrow_exception(failures[i]);
    all.push_back(std::move(*made[i]));
  }
  return all;
}

}  // namespace sparccl
