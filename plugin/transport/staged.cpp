#include "transport/staged.hpp"

#include <algorithm>
#include <mutex>
#include <utility>
#include <vector>

#include "communicator.hpp"

namespace sparccl {
namespace {

constexpr std::size_t meeting_bytes = 256;                  // of a rank: more than agreeing takes
constexpr std::size_t piece_bytes = std::size_t{32} << 20;  // of an all_reduce

/// Buffers that MPI may go on writing to, for ever.
void keep_for_ever(cuda::PinnedBuffer buffer) {
  static std::mutex mutex;
  static auto* const kept = new std::vector<cuda::PinnedBuffer>;
  const std::lock_guard<std::mutex> lock(mutex);
  kept->push_back(std::move(buffer));
}

int present_device() {
  int device = 0;
  cuda::check(cudaGetDevice(&device));
  return device;
}

void refuse_capture(cudaStream_t stream) {
  cudaStreamCaptureStatus status = cudaStreamCaptureStatusNone;
  cuda::check(cudaStreamIsCapturing(stream, &status));
  if (status == cudaStreamCaptureStatusNone) return;
  throw Error(
      Result::invalid_usage,
      "stream: expected one that is not being captured, found one that is: packets cross to "
      "the host, and a CUDA graph cannot wait for it; CUDA graphs need an NCCL communicator");
}

}  // namespace

StagedTransport::StagedTransport(const Communicator& host)
    : host_(host),
      inner_(host_.impl()->transport()),
      direct_(inner_.takes_device_memory()),
      device_(present_device()),
      buffer_(meeting_bytes * static_cast<std::size_t>(inner_.size())),
      copied_(std::make_unique<cuda::Event>()) {
  if (inner_.asynchronous()) {
    throw Error(Result::invalid_argument,
                "communicator: expected one of hosts, found one whose tensors are in the memory of "
                "CUDA devices already");
  }
}

StagedTransport::~StagedTransport() { static_cast<void>(cudaEventSynchronize(copied_->get())); }

/// Page-locked memory that no copy reads any more once the stream has been waited for.
std::byte* StagedTransport::stage(std::size_t bytes, cudaStream_t stream) {
  if (bytes > buffer_.bytes()) {
    cuda::check(cudaEventSynchronize(copied_->get()));
    buffer_ = cuda::PinnedBuffer();  // freed before the new one is there
    buffer_ = cuda::PinnedBuffer(bytes);
  }
  cuda::check(cudaStreamWaitEvent(stream, copied_->get(), 0));
  return static_cast<std::byte*>(buffer_.data());
}

/// Runs a part that the hosts' transport carries out in buffer_.
template <class Exchange>
void StagedTransport::over_hosts(const Exchange& exchange) {
  try {
    exchange();
  } catch (...) {
    if (inner_.keeps_buffers_after_failure()) keep_for_ever(std::exchange(buffer_, {}));
    throw;
  }
}

template <class Exchange>
void StagedTransport::gather(void* slots, std::size_t bytes, cudaStream_t stream,
                             const Exchange& exchange) {
  const cuda::DeviceGuard present(device_);
  refuse_capture(stream);
  const auto ranks = static_cast<std::size_t>(size());
  const auto before = bytes * static_cast<std::size_t>(rank());
  const auto after = bytes * (ranks - 1) - before;
  auto* const device = static_cast<std::byte*>(slots);
  std::byte* const host = stage(ranks * bytes, stream);
  cuda::check(
      cudaMemcpyAsync(host + before, device + before, bytes, cudaMemcpyDeviceToHost, stream));
  cuda::check(cudaStreamSynchronize(stream));
  over_hosts([&] { exchange(host); });
  const auto bring = [&](std::size_t offset, std::size_t count) {
    if (count == 0) return;
    cuda::check(
        cudaMemcpyAsync(device + offset, host + offset, count, cudaMemcpyHostToDevice, stream));
  };
  bring(0, before);
  bring(before + bytes, after);
  cuda::check(cudaEventRecord(copied_->get(), stream));
}

void StagedTransport::meet(void* slots, std::size_t bytes, Stream stream) {
  gather(slots, bytes, static_cast<cudaStream_t>(stream),
         [&](void* staged) { inner_.meet(staged, bytes, nullptr); });
}

void StagedTransport::all_gather(void* slots, std::size_t bytes, Stream stream) {
  const auto on = static_cast<cudaStream_t>(stream);
  if (!direct_) {
    return gather(slots, bytes, on,
                  [&](void* staged) { inner_.all_gather(staged, bytes, nullptr); });
  }
  const cuda::DeviceGuard present(device_);
  refuse_capture(on);
  cuda::check(cudaStreamSynchronize(on));
  inner_.all_gather(slots, bytes, nullptr);
}

/// Staged in any case: the hosts' transports reduce with code that runs on hosts.
void StagedTransport::all_reduce(const void* send, void* recv, std::size_t count, DataType type,
                                 Reduction reduction, Stream stream) {
  const auto on = static_cast<cudaStream_t>(stream);
  const cuda::DeviceGuard present(device_);
  refuse_capture(on);
  const std::size_t bytes = count * size_of(type);
  for (std::size_t begin = 0; begin < bytes; begin += piece_bytes) {
    const std::size_t part = std::min(piece_bytes, bytes - begin);
    std::byte* const host = stage(part, on);
    cuda::check(cudaMemcpyAsync(host, static_cast<const std::byte*>(send) + begin, part,
                                cudaMemcpyDeviceToHost, on));
    cuda::check(cudaStreamSynchronize(on));
    over_hosts(
        [&] { inner_.all_reduce(host, host, part / size_of(type), type, reduction, nullptr); });
    cuda::check(cudaMemcpyAsync(static_cast<std::byte*>(recv) + begin, host, part,
                                cudaMemcpyHostToDevice, on));
    cuda::check(cudaEventRecord(copied_->get(), on));
  }
}

bool StagedTransport::keeps_buffers_after_failure() const noexcept {
  return direct_ && inner_.keeps_buffers_after_failure();
}

}  // namespace sparccl
