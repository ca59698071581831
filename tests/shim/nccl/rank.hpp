// One rank of the client: a communicator, streams, a buffer, and hashes of what came.
#pragma once

#include <cuda_runtime.h>
#include <dlfcn.h>
#include <nccl.h>

#include <cstdint>
#include <cstdio>
#include <cstring>
#include <stdexcept>
#include <vector>

namespace client {

inline constexpr int ranks = 2;

inline void check(cudaError_t code) {
  if (code != cudaSuccess) throw std::runtime_error(cudaGetErrorString(code));
}
inline void check(ncclResult_t code) {
  if (code != ncclSuccess) throw std::runtime_error(ncclGetErrorString(code));
}

struct Tensor {
  std::size_t count;
  ncclDataType_t type;
  ncclRedOp_t op;
};
inline constexpr Tensor gradients[] = {{3000, ncclFloat32, ncclSum},
                                       {2000, ncclFloat16, ncclAvg},
                                       {2500, ncclBfloat16, ncclSum},
                                       {1500, ncclFloat64, ncclAvg}};
inline constexpr Tensor others[] = {
    {10, ncclFloat32, ncclSum}, {2000, ncclInt32, ncclSum}, {2000, ncclFloat32, ncclMax}};

inline std::size_t width(ncclDataType_t type) {
  if (type == ncclFloat64) return 8;
  return type == ncclFloat16 || type == ncclBfloat16 ? 2 : 4;
}

/// A small whole number, exact in every type.
inline void put(std::byte* at, ncclDataType_t type, int value) {
  const auto copy = [&](auto encoded) { std::memcpy(at, &encoded, sizeof(encoded)); };
  const auto single = static_cast<float>(value);
  std::uint32_t bits = 0;
  std::memcpy(&bits, &single, sizeof(bits));
  const std::uint32_t exponent = bits >> 23 & 255;
  switch (type) {
    case ncclInt32: return copy(static_cast<std::int32_t>(value));
    case ncclFloat64: return copy(static_cast<double>(value));
    case ncclBfloat16: return copy(static_cast<std::uint16_t>(bits >> 16));
    case ncclFloat16:
      if (value == 0) return copy(std::uint16_t{0});
      return copy(static_cast<std::uint16_t>((bits >> 16 & 0x8000) | (exponent - 112) << 10 |
                                             (bits >> 13 & 0x3ff)));
    default: return copy(single);
  }
}

inline void add(std::uint64_t& hash, const std::vector<std::byte>& bytes) {
  for (const std::byte byte : bytes)
    hash = (hash ^ static_cast<std::uint64_t>(byte)) * 0x100000001b3;
}

class Rank {
 public:
  static constexpr std::size_t room = 8 * 3000;  // of any tensor

  Rank(int rank, ncclUniqueId id) : rank_(rank) {
    check(cudaSetDevice(rank));
    for (cudaStream_t& stream : streams_) {
      check(cudaStreamCreateWithFlags(&stream, cudaStreamNonBlocking));
    }
    check(cudaMalloc(&buffer_, 2 * room));
    check(ncclCommInitRank(&comm, ranks, id, rank));
  }

  cudaStream_t stream() { return streams_[0]; }
  std::byte* buffer() { return buffer_; }

  [[nodiscard]] std::vector<std::byte> gradient(const Tensor& tensor, int step) const {
    std::vector<std::byte> host(tensor.count * width(tensor.type));
    for (std::size_t i = 0; step >= 0 && i < tensor.count; ++i) {
      const auto mixed = i * 7 + static_cast<std::size_t>(step * 13 + rank_ * 5);
      put(host.data() + i * width(tensor.type), tensor.type, static_cast<int>(mixed % 31) - 15);
    }
    return host;
  }

  std::vector<std::byte> reduce(const Tensor& tensor, int step) {
    enqueue(tensor, step, buffer_, stream());
    return deferred ? std::vector<std::byte>() : fetch(tensor, buffer_, stream());
  }

  void enqueue(const Tensor& tensor, int step, std::byte* buffer, cudaStream_t on) {
    const std::vector<std::byte> host = gradient(tensor, step);
    check(cudaMemcpy(buffer, host.data(), host.size(), cudaMemcpyHostToDevice));
    check(ncclAllReduce(buffer, buffer + room, tensor.count, tensor.type, tensor.op, comm, on));
  }

  [[nodiscard]] static std::vector<std::byte> fetch(const Tensor& tensor, const std::byte* buffer,
                                                    cudaStream_t on) {
    std::vector<std::byte> host(tensor.count * width(tensor.type));
    check(cudaMemcpyAsync(host.data(), buffer + room, host.size(), cudaMemcpyDeviceToHost, on));
    check(cudaStreamSynchronize(on));
    return host;
  }

  /// Every call on another stream than the one before, and nobody waits before the last one.
  void move(int steps) {
    std::vector<std::byte*> buffers;
    for (int number = 0; number < steps; ++number) {
      for (const Tensor& tensor : gradients) {
        const std::size_t call = buffers.size();
        check(cudaMalloc(&buffers.emplace_back(), 2 * room));
        enqueue(tensor, number, buffers.back(), streams_[call % 3]);
      }
    }
    for (std::size_t call = 0; call < buffers.size(); ++call) {
      add(results_, fetch(gradients[call % 4], buffers[call], streams_[call % 3]));
      check(cudaFree(buffers[call]));
    }
  }

  void step(int number) {
    for (const Tensor& tensor : gradients) {
      const std::vector<std::byte> result = reduce(tensor, number);
      add(results_, result);
      count_nonzeros(result, width(tensor.type));
    }
    for (const Tensor& tensor : others) add(others_, reduce(tensor, number));
  }

  /// All of it inside of a group: the results come when it ends.
  void grouped(const Tensor& tensor, int number) {
    deferred = true;
    check(ncclGroupStart());
    static_cast<void>(reduce(tensor, number));
    check(ncclGroupEnd());
    take(tensor);
  }

  /// Looked up, for nccl.h may be too old to have it.
  void simulated(const Tensor& tensor) {
    using End = int(void*);
    auto* const end = reinterpret_cast<End*>(dlsym(RTLD_DEFAULT, "ncclGroupSimulateEnd"));
    check(ncclGroupStart());
    check(ncclAllReduce(buffer_, buffer_ + room, tensor.count, tensor.type, tensor.op, comm,
                        stream()));
    check(static_cast<ncclResult_t>(end(nullptr)));
  }

  void captured(const Tensor& tensor) {
    deferred = true;
    cudaGraph_t graph = nullptr;
    cudaGraphExec_t executable = nullptr;
    check(cudaStreamBeginCapture(stream(), cudaStreamCaptureModeThreadLocal));
    check(ncclAllReduce(buffer_, buffer_ + room, tensor.count, tensor.type, tensor.op, comm,
                        stream()));
    check(cudaStreamEndCapture(stream(), &graph));
    check(cudaGraphInstantiate(&executable, graph, 0));
    check(cudaGraphLaunch(executable, stream()));
    take(tensor);
    check(cudaGraphExecDestroy(executable));
    check(cudaGraphDestroy(graph));
  }

  void alone(int number) {
    const ncclComm_t both = comm;
    check(ncclCommSplit(both, rank_, 0, &comm, nullptr));
    add(others_, reduce(gradients[0], number));
    check(ncclCommDestroy(comm));
    comm = both;
  }

  void reduce_on_host(const Tensor& tensor) {
    const std::vector<std::byte> host = gradient(tensor, 0);
    std::byte* pinned = nullptr;
    check(cudaHostAlloc(&pinned, host.size(), cudaHostAllocMapped));
    std::memcpy(pinned, host.data(), host.size());
    check(ncclAllReduce(pinned, pinned, tensor.count, tensor.type, tensor.op, comm, stream()));
    check(cudaStreamSynchronize(stream()));
    add(others_, {pinned, pinned + host.size()});
    check(cudaFreeHost(pinned));
  }

  void drain() {
    std::vector<float> sum(gradients[0].count);
    for (int number = 0; number < 70; ++number) {
      const std::vector<std::byte> result = reduce(gradients[0], number < 20 ? number : -1);
      for (std::size_t i = 0; i < sum.size(); ++i) {
        float value = 0;
        std::memcpy(&value, result.data() + 4 * i, 4);
        sum[i] += value;
      }
    }
    for (float& value : sum) value += 0.0f;  // no -0
    const auto* const bytes = reinterpret_cast<const std::byte*>(sum.data());
    add(results_, {bytes, bytes + 4 * sum.size()});
  }

  void forget_hashes() { results_ = others_ = first_hash; }

  void print() const {
    std::printf("rank %d: results %016llx others %016llx nonzeros %zu\n", rank_,
                static_cast<unsigned long long>(results_), static_cast<unsigned long long>(others_),
                nonzeros_);
  }

  ncclComm_t comm = nullptr;
  bool deferred = false;

 private:
  void take(const Tensor& tensor) {
    deferred = false;
    add(others_, fetch(tensor, buffer_, stream()));
  }

  void count_nonzeros(const std::vector<std::byte>& result, std::size_t bytes) {
    std::size_t found = 0;
    const std::vector<std::byte> zero(bytes);
    for (std::size_t at = 0; at < result.size(); at += bytes) {
      if (std::memcmp(result.data() + at, zero.data(), bytes) != 0) ++found;
    }
    if (found > nonzeros_) nonzeros_ = found;
  }

  int rank_;
  cudaStream_t streams_[3] = {};
  std::byte* buffer_ = nullptr;
  static constexpr std::uint64_t first_hash = 0xcbf29ce484222325;
  std::uint64_t results_ = first_hash, others_ = first_hash;
  std::size_t nonzeros_ = 0;
};

}  // namespace client
