// Where a rank's tensors are.
#pragma once

#include <cstddef>
#include <functional>
#include <memory>

#include <sparccl/sparccl.hpp>

#include "ranks.hpp"

namespace sparccl::perf {

class Device {
 public:
  using Buffer = std::unique_ptr<void, std::function<void(void*)>>;

  virtual ~Device() = default;

  /// 64-byte aligned, written to once.
  [[nodiscard]] virtual Buffer allocate(std::size_t bytes) = 0;
  virtual void upload(void* to, const void* from_host, std::size_t bytes) = 0;
  virtual void download(void* to_host, const void* from, std::size_t bytes) = 0;
  /// Within the device; done when synchronize() returns.
  virtual void copy(void* to, const void* from, std::size_t bytes) = 0;
  virtual void synchronize() = 0;
  [[nodiscard]] virtual Stream stream() = 0;
  /// Bytes that can still be allocated here; ranks that share it share them.
  [[nodiscard]] virtual std::size_t available() = 0;
  /// What it is, in words.
  [[nodiscard]] virtual std::string name() = 0;

  /// Of tensors here, for ranks whose communicator this is.
  [[nodiscard]] virtual Communicator communicator(const Communicator& of_ranks) = 0;
};

[[nodiscard]] std::unique_ptr<Device> host_device();
/// The GPU of this rank: number_here() modulo their number.
[[nodiscard]] std::unique_ptr<Device> cuda_device(Ranks& ranks, bool over_nccl);
/// Throws UsageError unless there is a GPU, and one for each of `ranks` where they cannot share it.
void require_gpus(int ranks, bool can_share);

}  // namespace sparccl::perf
