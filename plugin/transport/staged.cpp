#include "transport/staged.hpp"

#include <algorithm>
#include <mutex>
#include <utility>
#include <vector>

#include "communicator.hpp"

namespace sparccl {
namespace {

constexpr std::size_t meeting_bytes = 256;                  // of a rank: more than agreeing takes
constexpr std::size_t piece_bytes = std::size_t{32} << 20;  // of what is staged, but for packets

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

/// [count][pitch] bytes on the device, of which some columns are staged as [count][part].
struct Rows {
  std::size_t count;
  std::size_t pitch;
  cudaStream_t stream;

  void fetch_row(std::size_t row, std::byte* host, const void* device, std::size_t begin,
                 std::size_t part) const {
    cuda::check(cudaMemcpyAsync(host + row * part,
                                static_cast<const std::byte*>(device) + row * pitch + begin, part,
                                cudaMemcpyDeviceToHost, stream));
  }
  void bring_row(std::size_t row, void* device, const std::byte* host, std::size_t begin,
                 std::size_t part) const {
    cuda::check(cudaMemcpyAsync(static_cast<std::byte*>(device) + row * pitch + begin,
                                host + row * part, part, cudaMemcpyHostToDevice, stream));
  }
  void fetch(std::byte* host, const void* device, std::size_t begin, std::size_t part) const {
    for (std::size_t row = 0; row < count; ++row) fetch_row(row, host, device, begin, part);
  }
  void bring(void* device, const std::byte* host, std::size_t begin, std::size_t part) const {
    for (std::size_t row = 0; row < count; ++row) bring_row(row, device, host, begin, part);
  }
};

}  // namespace

StagedTransport::StagedTransport(const Communicator& host)
    : StagedTransport(host, nullptr, host.impl()->transport()) {}

StagedTransport::StagedTransport(const Communicator& host, std::unique_ptr<Transport> group,
                                 Transport& inner)
    : host_(host),
      group_(std::move(group)),
      inner_(inner),
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

/// Rows of [ranks][each bytes], some columns at a time: part(begin, bytes). A piece of each row is
/// what the hosts' transport takes for a whole one.
template <class Part>
void StagedTransport::in_parts(std::size_t each, std::size_t width, const Part& part) {
  const std::size_t columns = piece_bytes / static_cast<std::size_t>(size()) / width;
  const std::size_t step = std::max<std::size_t>(columns, 1) * width;
  for (std::size_t begin = 0; begin < each; begin += step) {
    part(begin, std::min(step, each - begin));
  }
}

void StagedTransport::all_to_all(const void* send, void* recv, std::size_t bytes, Stream stream) {
  const auto on = static_cast<cudaStream_t>(stream);
  const cuda::DeviceGuard present(device_);
  refuse_capture(on);
  const Rows rows{static_cast<std::size_t>(size()), bytes, on};
  in_parts(bytes, 1, [&](std::size_t begin, std::size_t part) {
    std::byte* const out = stage(2 * rows.count * part, on);
    std::byte* const in = out + rows.count * part;
    rows.fetch(out, send, begin, part);
    cuda::check(cudaStreamSynchronize(on));
    over_hosts([&] { inner_.all_to_all(out, in, part, nullptr); });
    rows.bring(recv, in, begin, part);
    cuda::check(cudaEventRecord(copied_->get(), on));
  });
}

/// The equal parts in pieces, and what the last rank has besides as a tensor of its own.
void StagedTransport::reduce_scatter(const void* send, void* recv, std::size_t count, DataType type,
                                     Stream stream) {
  const auto on = static_cast<cudaStream_t>(stream);
  const cuda::DeviceGuard present(device_);
  refuse_capture(on);
  const std::size_t width = size_of(type);
  const auto ranks = static_cast<std::size_t>(size());
  const Rows rows{ranks, count / ranks * width, on};
  const auto reduce = [&](const Rows& from, std::size_t begin, std::size_t part, void* to) {
    std::byte* const dense = stage((from.count + 1) * part, on);
    std::byte* const shard = dense + from.count * part;
    from.fetch(dense, send, begin, part);
    cuda::check(cudaStreamSynchronize(on));
    const std::size_t entries = from.count * part / width;
    over_hosts([&] { inner_.reduce_scatter(dense, shard, entries, type, nullptr); });
    const std::size_t mine = Shard(entries, size(), rank()).count * width;
    if (mine != 0) cuda::check(cudaMemcpyAsync(to, shard, mine, cudaMemcpyHostToDevice, on));
    cuda::check(cudaEventRecord(copied_->get(), on));
  };
  auto* const out = static_cast<std::byte*>(recv);
  in_parts(rows.pitch, width,
           [&](std::size_t begin, std::size_t part) { reduce(rows, begin, part, out + begin); });
  const std::size_t rest = count % ranks * width;
  if (rest != 0) reduce({1, 0, on}, ranks * rows.pitch, rest, out + rows.pitch);
}

void StagedTransport::all_gather_shards(void* data, std::size_t count, std::size_t width,
                                        Stream stream) {
  const auto on = static_cast<cudaStream_t>(stream);
  const cuda::DeviceGuard present(device_);
  refuse_capture(on);
  const auto ranks = static_cast<std::size_t>(size());
  auto* const base = static_cast<std::byte*>(data);
  // owner: of the first row; the others are those of the ranks that follow.
  const auto gather_rows = [&](const Rows& rows, int owner, std::size_t begin, std::size_t part) {
    std::byte* const host = stage(rows.count * part, on);
    const auto is_own = [&](std::size_t row) { return owner + static_cast<int>(row) == rank(); };
    for (std::size_t row = 0; row < rows.count; ++row) {
      if (is_own(row)) rows.fetch_row(row, host, base, begin, part);
    }
    cuda::check(cudaStreamSynchronize(on));
    const std::size_t entries = rows.count * part / width;
    over_hosts([&] { inner_.all_gather_shards(host, entries, width, nullptr); });
    for (std::size_t row = 0; row < rows.count; ++row) {
      if (!is_own(row)) rows.bring_row(row, base, host, begin, part);
    }
    cuda::check(cudaEventRecord(copied_->get(), on));
  };
  const Rows equal{ranks, count / ranks * width, on};
  in_parts(equal.pitch, width,
           [&](std::size_t begin, std::size_t part) { gather_rows(equal, 0, begin, part); });
  const std::size_t rest = count % ranks * width;
  if (rest != 0) gather_rows({1, 0, on}, size() - 1, ranks * equal.pitch, rest);
}

std::unique_ptr<Transport> StagedTransport::group(int color) {
  const cuda::DeviceGuard present(device_);
  std::unique_ptr<Transport> group = inner_.group(color);
  Transport& inner = *group;
  return std::unique_ptr<Transport>(new StagedTransport(host_, std::move(group), inner));
}

bool StagedTransport::keeps_buffers_after_failure() const noexcept {
  return direct_ && inner_.keeps_buffers_after_failure();
}

}  // namespace sparccl
