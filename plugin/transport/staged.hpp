// Tensors in device memory over a transport of hosts: packets cross through page-locked memory.
#pragma once

#include <cstddef>
#include <memory>
#include <string>
#include <vector>

#include <sparccl/sparccl.hpp>

#include "cuda/runtime.hpp"
#include "transport/transport.hpp"

namespace sparccl {

/// Blocking: a call waits for the stream, then for the other ranks, and returns when the copy of
/// what they sent is enqueued on the stream. Cannot be captured: Error(invalid_usage).
class StagedTransport final : public Transport {
 public:
  /// For the CUDA device that is present. Keeps `host` alive.
  explicit StagedTransport(const Communicator& host);
  ~StagedTransport() override;

  [[nodiscard]] int rank() const noexcept override { return inner_.rank(); }
  [[nodiscard]] int size() const noexcept override { return inner_.size(); }

  void all_gather(void* slots, std::size_t bytes, Stream stream) override;
  void meet(void* slots, std::size_t bytes, Stream stream) override;
  void all_reduce(const void* send, void* recv, std::size_t count, DataType type,
                  Reduction reduction, Stream stream) override;
  void all_to_all(const void* send, void* recv, std::size_t bytes, Stream stream) override;
  void reduce_scatter(const void* send, void* recv, std::size_t count, DataType type,
                      Stream stream) override;
  void all_gather_shards(void* data, std::size_t count, std::size_t width, Stream stream) override;
  [[nodiscard]] std::vector<int> nodes() override { return inner_.nodes(); }
  [[nodiscard]] std::unique_ptr<Transport> group(int color) override;
  void give_up(Result reason) noexcept override { inner_.give_up(reason); }
  void abort() noexcept override { inner_.abort(); }

  /// What was staged is kept here; slots that MPI took directly are the caller's to keep.
  [[nodiscard]] bool keeps_buffers_after_failure() const noexcept override;

 private:
  /// Over `inner`, which is that of all ranks or `group`, which is kept.
  StagedTransport(const Communicator& host, std::unique_ptr<Transport> group, Transport& inner);

  template <class Exchange>
  void gather(void* slots, std::size_t bytes, cudaStream_t stream, const Exchange& exchange);
  template <class Exchange>
  void over_hosts(const Exchange& exchange);
  template <class Part>
  void in_parts(std::size_t each, std::size_t width, const Part& part);
  std::byte* stage(std::size_t bytes, cudaStream_t stream);

  Communicator host_;
  std::unique_ptr<Transport> group_;  // null: of all ranks
  Transport& inner_;
  const bool direct_;  // all_gather, without staging
  int device_ = 0;
  cuda::PinnedBuffer buffer_;
  std::unique_ptr<cuda::Event> copied_;  // the last copy out of buffer_
};

}  // namespace sparccl
