// Ranks over the stand-in for NCCL: a transport, a stream and device memory each.
#pragma once

#include <cuda_runtime.h>
#include <nccl.h>

#include <cstddef>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include <sparccl/sparccl.hpp>

#include "cuda/runtime.hpp"
#include "fake_nccl.hpp"
#include "transport/nccl.hpp"

namespace sparccl::test {

/// Zeroed memory of the present device.
class DeviceBytes {
 public:
  explicit DeviceBytes(std::size_t bytes) : bytes_(bytes) {
    cuda::check(cudaMalloc(&data_, bytes));
    cuda::check(cudaMemset(data_, 0, bytes));
    cuda::check(cudaStreamSynchronize(nullptr));  // other streams do not wait for it
  }
  ~DeviceBytes() { static_cast<void>(cudaFree(data_)); }
  DeviceBytes(const DeviceBytes&) = delete;
  DeviceBytes& operator=(const DeviceBytes&) = delete;

  [[nodiscard]] void* get() const { return data_; }
  [[nodiscard]] std::size_t size() const { return bytes_; }

  template <class T>
  void set(const std::vector<T>& values) {
    cuda::check(
        cudaMemcpy(data_, values.data(), values.size() * sizeof(T), cudaMemcpyHostToDevice));
  }
  template <class T>
  [[nodiscard]] std::vector<T> values() const {
    std::vector<T> copy(bytes_ / sizeof(T));
    cuda::check(cudaMemcpy(copy.data(), data_, copy.size() * sizeof(T), cudaMemcpyDeviceToHost));
    return copy;
  }

 private:
  void* data_ = nullptr;
  std::size_t bytes_;
};

/// NCCL communicators of the user's: rank r is on device r, of eight.
class UserComms {
 public:
  explicit UserComms(int ranks);
  ~UserComms();
  UserComms(const UserComms&) = delete;
  UserComms& operator=(const UserComms&) = delete;
  [[nodiscard]] ncclComm_t operator[](int rank) const {
    return comms_.at(static_cast<std::size_t>(rank));
  }
  [[nodiscard]] int size() const { return static_cast<int>(comms_.size()); }

 private:
  std::vector<ncclComm_t> comms_;
};

/// As NCCL wants it. On a device of two ranks, one that frees memory would wait for the other.
[[nodiscard]] inline int device_of(int rank) { return rank; }

/// Runs a function on a thread of each rank, with the rank's device present. Rethrows the first
/// exception.
void on_ranks(int ranks, const std::function<void(int rank)>& work);

/// One rank's transport and a stream of its own. Made on the rank's thread.
struct Rank {
  Rank(const UserComms& comms, int rank, std::uint64_t timeout_ms = 0)
      : transport(comms[rank], CommunicatorOptions{timeout_ms}) {}
  NcclTransport transport;
  cuda::OwnStream stream;
};

/// The transports of all ranks, for one thread that drives them.
[[nodiscard]] std::vector<std::unique_ptr<Rank>> make_ranks(const UserComms& comms,
                                                            std::uint64_t timeout_ms = 0);

/// What a call throws: its code; the sentence goes to `text`. success: nothing was thrown.
[[nodiscard]] Result code_thrown(const std::function<void()>& call, std::string* text = nullptr);

/// Waits until the condition holds, for at most ten seconds. Whether it does.
[[nodiscard]] bool eventually(const std::function<bool()>& condition);

}  // namespace sparccl::test
