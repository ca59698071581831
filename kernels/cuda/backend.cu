#include <algorithm>
#include <cstring>
#include <map>
#include <mutex>
#include <string>
#include <utility>

#include "cuda/arguments.hpp"
#include "cuda/cuda_backend.hpp"
#include "cuda/event_clock.hpp"
#include "cuda/nvtx.hpp"
#include "cuda/runtime.hpp"
#include "cuda/split.hpp"

namespace sparccl {
namespace {

using cuda::DeviceGuard;

class CudaBackend final : public Backend {
 public:
  CudaBackend(int device)
      : device_(device), memory_name_("memory of CUDA device " + std::to_string(device)) {}

  Buffer allocate(std::size_t bytes) override {
    const DeviceGuard guard(device_);
    void* memory = nullptr;
    const cudaError_t code = cudaMalloc(&memory, bytes == 0 ? 1 : bytes);
    if (code == cudaErrorMemoryAllocation) {
      static_cast<void>(cudaGetLastError());
      throw Error(Result::system_error, "out of memory: " + std::to_string(bytes) + " bytes of " +
                                            memory_name_ + " were refused");
    }
    cuda::check(code);
    Buffer buffer(memory, [](void* m) { static_cast<void>(cudaFree(m)); });
    if (bytes != 0) cuda::check(cudaMemsetAsync(memory, 0, bytes, stream_.get()));
    cuda::check(cudaStreamSynchronize(stream_.get()));
    return buffer;
  }

  Buffer allocate_shared(std::size_t bytes) override {
    const DeviceGuard guard(device_);
    void* memory = nullptr;
    const cudaError_t code =
        cudaHostAlloc(&memory, bytes, cudaHostAllocMapped | cudaHostAllocPortable);
    if (code == cudaErrorMemoryAllocation) {
      static_cast<void>(cudaGetLastError());
      throw Error(Result::system_error, "out of memory: " + std::to_string(bytes) +
                                            " bytes of page-locked host memory were refused");
    }
    cuda::check(code);
    std::memset(memory, 0, bytes);
    return {memory, [](void* m) { static_cast<void>(cudaFreeHost(m)); }};
  }

  void upload(void* to, const void* from, std::size_t bytes) override {
    transfer(to, from, bytes, cudaMemcpyHostToDevice);
  }
  void download(void* to, const void* from, std::size_t bytes) const override {
    transfer(to, from, bytes, cudaMemcpyDeviceToHost);
  }

  void finish(Stream stream) override {
    const DeviceGuard guard(device_);
    cuda::check(cudaStreamSynchronize(static_cast<cudaStream_t>(stream)));
  }
  void finish_all() override {
    const DeviceGuard guard(device_);
    cuda::check(cudaDeviceSynchronize());
  }

  const char* memory_name() const noexcept override { return memory_name_.c_str(); }

  void require_memory(const void* pointer, const char* what) const override {
    std::string found = "a null pointer";
    if (pointer != nullptr) {
      cudaPointerAttributes attributes{};
      cuda::check(cudaPointerGetAttributes(&attributes, pointer));
      const bool device = attributes.type == cudaMemoryTypeDevice;
      if (attributes.type == cudaMemoryTypeManaged) return;
      if (device && attributes.device == device_) return;
      found = device ? "memory of CUDA device " + std::to_string(attributes.device) : "host memory";
    }
    throw Error(Result::invalid_argument,
                std::string(what) + ": expected " + memory_name_ + ", found " + found);
  }

  void require_stream(Stream stream) const override {
    if (stream == nullptr) return;  // the default one of whatever device is present in a call
    int device = -1;
    cuda::check(cudaStreamGetDevice(static_cast<cudaStream_t>(stream), &device));
    if (device == device_) return;
    throw Error(Result::invalid_argument,
                "stream: expected one of CUDA device " + std::to_string(device_) +
                    ", found one of CUDA device " + std::to_string(device));
  }

  std::size_t workspace_bytes(const Plan& plan) const override {
    return visit_accumulator(plan.accumulator(), [&]<class A>(Tag<A>) {
      return cuda::Workspace<A>(plan, nullptr).bytes;
    });
  }

  void announce(const RollCall& roll, const void* descriptor, const std::uint64_t* step,
                std::size_t step_offset, Stream stream) override {
    const DeviceGuard guard(device_);
    cuda::announce(roll, descriptor, step, step_offset, static_cast<cudaStream_t>(stream));
  }

  void verify(const RollCall& roll, Trouble* trouble, Stream stream) override {
    const DeviceGuard guard(device_);
    cuda::verify(roll, trouble, static_cast<cudaStream_t>(stream));
  }

  void accumulate(const Plan& plan, const Step& step, const Memory& memory,
                  void* workspace) override {
    const DeviceGuard guard(device_);
    cuda::sample(plan, step, memory, workspace, limits(plan).sample);
    cuda::accumulate(plan, step, memory, workspace);
  }

  void select(const Plan& plan, const Step& step, const Memory& memory, void* workspace) override {
    const DeviceGuard guard(device_);
    cuda::select(plan, step, memory, workspace, limits(plan).select);
  }

  void pack(const Plan& plan, const Step& step, const Memory& memory, void* workspace,
            const Packet& outgoing) override {
    const DeviceGuard guard(device_);
    cuda::pack(plan, step, memory, workspace, outgoing);
  }

  void check(const Plan& plan, const Step& step, const Memory& memory, void* workspace,
             std::span<const Packet> packets) override {
    const DeviceGuard guard(device_);
    cuda::check(plan, step, memory, workspace, packets, limits(plan).check);
  }

  void restore(const Plan& plan, const Step& step, const Memory& memory, void* workspace) override {
    const DeviceGuard guard(device_);
    cuda::restore(plan, step, memory, workspace, limits(plan).restore);
  }

  void merge(const Plan& plan, const Step& step, const Memory& memory, void* workspace,
             std::span<const Packet> packets, const Output& output) override {
    const DeviceGuard guard(device_);
    if (output.dense != nullptr) {
      cuda::merge_dense(plan, step, memory, workspace, packets, output);
    } else {
      cuda::merge_sparse(plan, step, memory, workspace, packets, output, limits(plan).merge_sparse);
    }
  }

  std::size_t split_bytes(const SplitPlan& split) const override {
    return visit_accumulator(split.whole.accumulator(), [&]<class A>(Tag<A>) {
      return cuda::SplitScratch<A>(split, nullptr).bytes;
    });
  }

  void scatter(const SplitPlan& split, const Step& step, const Memory& memory, void* workspace,
               void* scratch, const Packet& own, std::span<const Packet> outgoing) override {
    const DeviceGuard guard(device_);
    cuda::scatter(split, step, memory, workspace, scratch, own, outgoing,
                  limits(split.whole).scatter);
  }

  void reduce(const SplitPlan& split, const Step& step, const Memory& memory, void* workspace,
              void* scratch, std::span<const Packet> incoming, const Packet& outgoing) override {
    const DeviceGuard guard(device_);
    cuda::reduce(split, step, memory, workspace, scratch, incoming, outgoing,
                 limits(split.whole).reduce);
  }

  void judge(const SplitPlan& split, const Step& step, const Memory& memory, void* workspace,
             void* scratch, std::span<const Packet> reduced) override {
    const DeviceGuard guard(device_);
    cuda::judge(split, step, memory, workspace, scratch, reduced, limits(split.whole).judge);
  }

  void join(const SplitPlan& split, const Step& step, const Memory& memory, void* workspace,
            void* scratch, const Packet& own, std::span<const Packet> reduced,
            const Output& output) override {
    const DeviceGuard guard(device_);
    cuda::join(split, step, memory, workspace, scratch, own, reduced, output,
               limits(split.whole).join);
  }

  void prepare_dense(const Plan& plan, const Step& step, const Memory& memory,
                     void* send) override {
    const DeviceGuard guard(device_);
    cuda::prepare_dense(plan, step, memory, send);
  }

  void conclude_dense(const Plan& plan, const Step& step, const Memory& memory, void* workspace,
                      const void* sum, const Output& output) override {
    const DeviceGuard guard(device_);
    cuda::conclude_dense(plan, step, memory, workspace, sum, output, limits(plan).conclude_dense);
  }

  void count_dense(const Plan& plan, const Step& step, const Memory& memory,
                   void* workspace) override {
    const DeviceGuard guard(device_);
    cuda::count_dense(plan, step, memory, workspace);
  }

  void tell_finite(const Plan&, const Step& step, void* workspace, std::uint64_t* flag) override {
    const DeviceGuard guard(device_);
    cuda::tell_finite(step, workspace, flag);
  }

  void hear_finite(const Plan&, const Step& step, const Memory&, void* workspace,
                   const std::uint64_t* flags, std::size_t size) override {
    const DeviceGuard guard(device_);
    cuda::hear_finite(step, workspace, flags, size);
  }

  void convert(void* to, DataType to_type, const void* from, DataType from_type, std::size_t count,
               double scale, Stream stream) override {
    const DeviceGuard guard(device_);
    cuda::convert(to, to_type, from, from_type, count, scale, static_cast<cudaStream_t>(stream));
  }

  void copy(void* to, const void* from, std::size_t bytes, Stream stream) override {
    if (bytes == 0) return;
    const DeviceGuard guard(device_);
    cuda::check(cudaMemcpyAsync(to, from, bytes, cudaMemcpyDeviceToDevice,
                                static_cast<cudaStream_t>(stream)));
  }

  void clear(void* memory, std::size_t bytes, Stream stream) override {
    if (bytes == 0) return;
    const DeviceGuard guard(device_);
    cuda::check(cudaMemsetAsync(memory, 0, bytes, static_cast<cudaStream_t>(stream)));
  }

  StepCounts counts(const Plan&, const void* workspace) const override {
    const DeviceGuard guard(device_);
    cuda::check(cudaDeviceSynchronize());
    cuda::Header header;  // the workspace's first member
    download(&header, workspace, sizeof(header));
    return {header.passed, header.fallbacks};
  }

  void begin_range(const char* name) noexcept override { cuda::push_range(name); }
  void end_range() noexcept override { cuda::pop_range(); }

  std::unique_ptr<StageClock> make_stage_clock() override {
    const DeviceGuard guard(device_);
    return std::make_unique<cuda::EventClock>(device_, stream_.get());
  }

 private:
  void transfer(void* to, const void* from, std::size_t bytes, cudaMemcpyKind kind) const {
    if (bytes == 0) return;
    const DeviceGuard guard(device_);
    cuda::check(cudaMemcpyAsync(to, from, bytes, kind, stream_.get()));
    cuda::check(cudaStreamSynchronize(stream_.get()));
  }

  /// Found once for each pair of types: asking costs more than a launch.
  const cuda::GridLimits& limits(const Plan& plan) {
    const std::lock_guard lock(mutex_);
    const auto key = std::pair(plan.type, plan.wire);
    const auto known = limits_.find(key);
    if (known != limits_.end()) return known->second;
    return limits_.emplace(key, cuda::grid_limits(plan.type, plan.wire)).first->second;
  }

  int device_;
  std::string memory_name_;
  cuda::OwnStream stream_;
  std::mutex mutex_;
  std::map<std::pair<DataType, DataType>, cuda::GridLimits> limits_;
};

std::string version_text(int version) {
  return std::to_string(version / 1000) + "." + std::to_string(version % 1000 / 10);
}

/// Says in words what the runtime would say by a number.
void require_driver() {
  int driver = 0;
  int runtime = 0;
  static_cast<void>(cudaDriverGetVersion(&driver));
  static_cast<void>(cudaRuntimeGetVersion(&runtime));
  int devices = 0;
  const cudaError_t code = cudaGetDeviceCount(&devices);
  if (code == cudaSuccess && devices > 0) return;
  static_cast<void>(cudaGetLastError());
  if (driver == 0) {
    throw Error(Result::system_error,
                "CUDA: expected a driver for CUDA " + version_text(runtime) + ", found none");
  }
  if (code == cudaErrorInsufficientDriver) {
    throw Error(Result::system_error, "CUDA: expected a driver for CUDA " + version_text(runtime) +
                                          ", found one for CUDA " + version_text(driver));
  }
  throw Error(Result::system_error, std::string("CUDA: expected a device, found none (") +
                                        cudaGetErrorString(code) + ")");
}

}  // namespace

namespace cuda {

GridLimits grid_limits(DataType type, DataType wire) {
  const auto capped = [](std::size_t blocks) {
    // Two for each multiprocessor fill it, and fewer meet faster.
    int device = 0;
    int multiprocessors = 1;
    cuda::check(cudaGetDevice(&device));
    cuda::check(cudaDeviceGetAttribute(&multiprocessors, cudaDevAttrMultiProcessorCount, device));
    const auto most =
        std::min(static_cast<std::size_t>(2 * multiprocessors), Workspace<float>::most_grid_blocks);
    return std::clamp(blocks, std::size_t{1}, most);
  };
  return {capped(sample_blocks(type)),
          capped(select_blocks(type)),
          capped(check_blocks(type, wire)),
          capped(restore_blocks(type)),
          capped(merge_sparse_blocks(type, wire)),
          capped(scatter_blocks(type, wire)),
          capped(reduce_blocks(type, wire)),
          capped(judge_blocks(type)),
          capped(join_blocks(type, wire)),
          capped(conclude_dense_blocks(type))};
}

}  // namespace cuda

std::unique_ptr<Backend> make_cuda_backend() {
  require_driver();
  int device = 0;
  cuda::check(cudaGetDevice(&device));
  int cooperative = 0;
  cuda::check(cudaDeviceGetAttribute(&cooperative, cudaDevAttrCooperativeLaunch, device));
  if (cooperative == 0) {
    throw Error(Result::system_error,
                "CUDA device " + std::to_string(device) +
                    ": expected cooperative launches, found a device without");
  }
  return std::make_unique<CudaBackend>(device);
}

}  // namespace sparccl
