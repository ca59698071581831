// Moves bytes between ranks. Knows nothing of tensors, packets or kernels.
#pragma once

#include <cstddef>

#include <sparccl/sparccl.hpp>

namespace sparccl {

/// Calls are collective, in the same order and with the same sizes on every rank (Communicator sees
/// to that), and return when the local buffers may be used again.
class Transport {
 public:
  virtual ~Transport() = default;

  [[nodiscard]] virtual int rank() const noexcept = 0;
  [[nodiscard]] virtual int size() const noexcept = 0;

  /// slots: [size()][bytes], host memory. In place: this rank's slot is sent, the others are
  /// filled. Throws Error(aborted | timeout | remote_error | system_error).
  virtual void all_gather(void* slots, std::size_t bytes, Stream stream) = 0;

  /// The same for what fits any transport's smallest message (<= 4 KiB): the place where ranks wait
  /// for each other, so it honours abort() and the timeout at any time.
  virtual void meet(void* slots, std::size_t bytes) = 0;

  /// Dense. send, recv: [count], equal or disjoint.
  virtual void all_reduce(const void* send, void* recv, std::size_t count, DataType type,
                          Reduction reduction, Stream stream) = 0;

  /// This rank makes no further calls, for that reason: ranks that wait for it, now or later,
  /// throw. Best effort. From the thread of the calls.
  virtual void give_up(Result reason) noexcept = 0;

  /// Whether a transfer that threw may go on using its buffers: they must then never be freed.
  [[nodiscard]] virtual bool keeps_buffers_after_failure() const noexcept { return false; }

  /// From any thread. Waiting and later calls throw Error(aborted).
  virtual void abort() noexcept = 0;
};

}  // namespace sparccl
