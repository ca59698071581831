// What the NCCL transport enqueues.
#include "cuda/runtime.hpp"
#include "transport/nccl.hpp"

namespace sparccl {
namespace {

static_assert(static_cast<int>(DataType::uint8) == ncclUint8 &&
              static_cast<int>(DataType::float16) == ncclFloat16 &&
              static_cast<int>(DataType::float64) == ncclFloat64 &&
              static_cast<int>(DataType::bfloat16) == ncclBfloat16 &&
              static_cast<int>(Reduction::sum) == ncclSum &&
              static_cast<int>(Reduction::avg) == ncclAvg);

bool capturing(cudaStream_t stream) {
  cudaStreamCaptureStatus status = cudaStreamCaptureStatusNone;
  cuda::check(cudaStreamIsCapturing(stream, &status));
  return status != cudaStreamCaptureStatusNone;
}

/// Several calls of NCCL as one. The first failure counts, and the group is ended in any case.
class Together {
 public:
  explicit Together(const NcclApi& api) : api_(api), result_(api.group_start()) {
    open_ = result_ == ncclSuccess;
  }
  template <class Call>
  void add(const Call& call) {
    if (result_ == ncclSuccess || result_ == ncclInProgress) result_ = call();
  }
  [[nodiscard]] ncclResult_t end() {
    if (!open_) return result_;
    const ncclResult_t ended = api_.group_end();
    return result_ == ncclSuccess || result_ == ncclInProgress ? ended : result_;
  }

 private:
  const NcclApi& api_;
  ncclResult_t result_;
  bool open_ = false;
};

}  // namespace

template <class Call>
void NcclTransport::exchange(const Exchange& what, Stream stream, const Call& call) {
  const auto on = static_cast<cudaStream_t>(stream);
  const cuda::DeviceGuard present(comm_.device());
  // An event inside a graph says nothing of the time: replays are not timed.
  if (timeout_.count() != 0 && !capturing(on)) waits_.begin(what, on);
  const bool in_group = joins_group();
  const auto result = comm_.use([&](ncclComm_t comm) { return call(comm, on); });
  if (!result) throw_failure();
  // In a group, nothing is on the stream before the group ends.
  if (in_group && (*result == ncclSuccess || *result == ncclInProgress)) return;
  settle(*result, what.call);
}

void NcclTransport::copy(void* to, const void* from, std::size_t bytes, Stream stream) {
  if (to == from || bytes == 0) return;
  const cuda::DeviceGuard present(comm_.device());
  cuda::check(cudaMemcpyAsync(to, from, bytes, cudaMemcpyDeviceToDevice,
                              static_cast<cudaStream_t>(stream)));
}

void NcclTransport::all_gather(void* slots, std::size_t bytes, Stream stream) {
  require_open();
  if (size() == 1 || bytes == 0) return;
  const void* const own_slot =
      static_cast<const std::byte*>(slots) + bytes * static_cast<std::size_t>(rank());
  exchange({"ncclAllGather", bytes}, stream, [&](ncclComm_t comm, cudaStream_t on) {
    return comm_.api().all_gather(own_slot, slots, bytes, ncclUint8, comm, on);
  });
}

void NcclTransport::meet(void* slots, std::size_t bytes, Stream stream) {
  all_gather(slots, bytes, stream);
}

void NcclTransport::all_reduce(const void* send, void* recv, std::size_t count, DataType type,
                               Reduction reduction, Stream stream) {
  require_open();
  if (count == 0) return;
  if (size() == 1) return copy(recv, send, count * size_of(type), stream);
  exchange({"ncclAllReduce", count, "entries"}, stream, [&](ncclComm_t comm, cudaStream_t on) {
    return comm_.api().all_reduce(send, recv, count, static_cast<ncclDataType_t>(type),
                                  static_cast<ncclRedOp_t>(reduction), comm, on);
  });
}

/// A rank's slot for itself is sent, too: NCCL copies it.
void NcclTransport::all_to_all(const void* send, void* recv, std::size_t bytes, Stream stream) {
  require_open();
  if (size() == 1) return copy(recv, send, bytes, stream);
  if (bytes == 0) return;
  exchange({"ncclSend and ncclRecv", bytes}, stream, [&](ncclComm_t comm, cudaStream_t on) {
    Together all(comm_.api());
    for (int step = 0; step < size(); ++step) {
      const int to = (rank() + step) % size();
      const int from = (rank() + size() - step) % size();
      const auto slot = [&](int rank) { return bytes * static_cast<std::size_t>(rank); };
      all.add([&] {
        return comm_.api().send(static_cast<const std::byte*>(send) + slot(to), bytes, ncclUint8,
                                to, comm, on);
      });
      all.add([&] {
        return comm_.api().recv(static_cast<std::byte*>(recv) + slot(from), bytes, ncclUint8, from,
                                comm, on);
      });
    }
    return all.end();
  });
}

/// NCCL's own for equal shards, and what the last rank has besides is reduced to it.
void NcclTransport::reduce_scatter(const void* send, void* recv, std::size_t count, DataType type,
                                   Stream stream) {
  require_open();
  const std::size_t width = size_of(type);
  if (size() == 1) return copy(recv, send, count * width, stream);
  if (count == 0) return;
  const auto ranks = static_cast<std::size_t>(size());
  const std::size_t each = count / ranks;
  const std::size_t rest = count % ranks;
  const auto* const behind = static_cast<const std::byte*>(send) + each * ranks * width;
  auto* const last = static_cast<std::byte*>(recv) + each * width;  // of no meaning on other ranks
  const auto nccl_type = static_cast<ncclDataType_t>(type);
  exchange({"ncclReduceScatter", count, "entries"}, stream, [&](ncclComm_t comm, cudaStream_t on) {
    Together both(comm_.api());
    if (each != 0) {
      both.add([&] {
        return comm_.api().reduce_scatter(send, recv, each, nccl_type, ncclSum, comm, on);
      });
    }
    if (rest != 0) {
      both.add([&] {
        return comm_.api().reduce(behind, last, rest, nccl_type, ncclSum, size() - 1, comm, on);
      });
    }
    return both.end();
  });
}

void NcclTransport::all_gather_shards(void* data, std::size_t count, std::size_t width,
                                      Stream stream) {
  require_open();
  if (size() == 1 || count == 0) return;
  const auto ranks = static_cast<std::size_t>(size());
  const std::size_t each = count / ranks * width;
  const std::size_t rest = count % ranks * width;
  auto* const base = static_cast<std::byte*>(data);
  std::byte* const mine = base + each * static_cast<std::size_t>(rank());
  std::byte* const behind = base + each * ranks;
  exchange(
      {"ncclAllGather of shards", count, "entries"}, stream, [&](ncclComm_t comm, cudaStream_t on) {
        Together both(comm_.api());
        if (each != 0) {
          both.add([&] { return comm_.api().all_gather(mine, base, each, ncclUint8, comm, on); });
        }
        if (rest != 0) {
          both.add([&] {
            return comm_.api().broadcast(behind, behind, rest, ncclUint8, size() - 1, comm, on);
          });
        }
        return both.end();
      });
}

}  // namespace sparccl
