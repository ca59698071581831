#include <memory>
#include <string>

#include "api.hpp"

namespace simt::detail {

namespace {

/// A kernel as it waits in a stream: its name may be gone by then.
struct Launched {
  std::string name;
  Kernel kernel;
  int device = 0;

  cudaError_t run(std::uint64_t seed) {
    if (seed != 0)
      for (const char c : name) seed = mix(seed, static_cast<unsigned char>(c)) | 1;
    Grid grid(kernel, device, seed);
    return grid.run();
  }
};

cudaError_t check_configuration(const Machine& m, const Kernel& kernel) {
  if (kernel.blocks == 0 || kernel.blocks > 0x7fffffff || kernel.threads == 0 ||
      kernel.threads > 1024)
    return cudaErrorInvalidConfiguration;
  if (kernel.shared_bytes > 48 * 1024) return cudaErrorInvalidValue;
  const auto fit = static_cast<std::size_t>(m.multiprocessors) *
                   static_cast<std::size_t>(blocks_at_once(kernel.threads, kernel.shared_bytes));
  if (kernel.cooperative && kernel.blocks > fit) return cudaErrorCooperativeLaunchTooLarge;
  return cudaSuccess;
}

}  // namespace

cudaError_t launch(cudaStream_t handle, Kernel kernel) {
  return call([&](Machine& m, Lock&) {
    const StreamPointer stream = m.stream(handle);
    if (stream == nullptr || stream->device != present_device)
      return cudaErrorInvalidResourceHandle;
    const cudaError_t code = check_configuration(m, kernel);
    if (code != cudaSuccess) return code;
    auto launched = std::make_shared<Launched>();
    launched->name = kernel.name;
    launched->kernel = std::move(kernel);
    launched->kernel.name = launched->name.c_str();
    launched->device = stream->device;
    return m.enqueue(stream,
                     {[launched](std::uint64_t seed) { return launched->run(seed); }, false, {}});
  });
}

}  // namespace simt::detail
