// One rank's NCCL, opened at run time as the library does: where these tests are built there need
// not be one.
#pragma once

#include <cuda_runtime.h>
#include <nccl.h>

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

namespace sparccl::test {

/// Throws std::runtime_error with CUDA's or NCCL's words.
void check(cudaError_t code);

/// Libraries that stay open for the life of the process.
class Nccl {
 public:
  Nccl();  ///< what SPARCCL_NCCL_LIBRARY names, or libnccl.so.2
  void check(ncclResult_t code) const;

  decltype(&ncclGetVersion) get_version;
  decltype(&ncclGetUniqueId) get_unique_id;
  decltype(&ncclCommInitRank) comm_init_rank;
  decltype(&ncclCommDestroy) comm_destroy;
  decltype(&ncclAllReduce) all_reduce;

 private:
  decltype(&ncclGetErrorString) get_error_string_;
};

/// Device memory.
template <class T>
class DeviceArray {
 public:
  explicit DeviceArray(std::size_t count) : count_(count) {
    check(cudaMalloc(&data_, count * sizeof(T)));
    check(cudaMemset(data_, 0, count * sizeof(T)));
  }
  explicit DeviceArray(const std::vector<T>& values) : DeviceArray(values.size()) { set(values); }
  ~DeviceArray() { static_cast<void>(cudaFree(data_)); }
  DeviceArray(const DeviceArray&) = delete;
  DeviceArray& operator=(const DeviceArray&) = delete;

  [[nodiscard]] T* get() const { return static_cast<T*>(data_); }
  [[nodiscard]] std::size_t size() const { return count_; }
  void set(const std::vector<T>& values) {
    check(cudaMemcpy(data_, values.data(), count_ * sizeof(T), cudaMemcpyHostToDevice));
  }

 private:
  void* data_ = nullptr;
  std::size_t count_;
};

/// count values from memory of any kind.
template <class T>
std::vector<T> host_copy(const void* from, std::size_t count) {
  std::vector<T> values(count);
  check(cudaMemcpy(values.data(), from, count * sizeof(T), cudaMemcpyDefault));
  return values;
}

/// This process's place among the ranks, a stream, and NCCL's own reductions to compare with.
class World {
 public:
  /// id_file: written by rank 0, awaited by the others.
  World(int rank, int size, const std::string& id_file);
  ~World();
  World(const World&) = delete;
  World& operator=(const World&) = delete;

  [[nodiscard]] int rank() const { return rank_; }
  [[nodiscard]] int size() const { return size_; }
  [[nodiscard]] ncclComm_t communicator() const { return communicator_; }
  [[nodiscard]] cudaStream_t stream() const { return stream_; }
  void finish() const { check(cudaStreamSynchronize(stream_)); }

  /// The dense sum over all ranks, by NCCL.
  [[nodiscard]] std::vector<float> sum(const std::vector<float>& mine) const;

  /// Whether all ranks hold the same bits.
  [[nodiscard]] bool same_everywhere(const std::vector<float>& mine) const;

 private:
  Nccl nccl_;
  int rank_, size_;
  ncclComm_t communicator_ = nullptr;
  cudaStream_t stream_ = nullptr;
};

}  // namespace sparccl::test
