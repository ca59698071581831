// Moves bytes between ranks. Knows nothing of tensors, packets or kernels.
#pragma once

#include <cstddef>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include <sparccl/sparccl.hpp>

namespace sparccl {

/// The part of a dense tensor of `count` entries that a rank holds between reduce_scatter and
/// all_gather_shards: count / ranks entries each, and the last rank also what is left over.
struct Shard {
  Shard(std::size_t total, int ranks, int rank) noexcept {
    const std::size_t each = total / static_cast<std::size_t>(ranks);
    begin = each * static_cast<std::size_t>(rank);
    count = rank == ranks - 1 ? total - begin : each;
  }
  std::size_t begin = 0;
  std::size_t count = 0;
};

/// Calls are collective, in the same order and with the same sizes on every rank (Communicator sees
/// to that). Buffers are memory of the backend that the transport is used with.
class Transport {
 public:
  virtual ~Transport() = default;

  [[nodiscard]] virtual int rank() const noexcept = 0;
  [[nodiscard]] virtual int size() const noexcept = 0;

  /// false: calls return when the local buffers may be used again. true: they are enqueued on the
  /// stream and return at once; failures after that end the communicator (async_error).
  [[nodiscard]] virtual bool asynchronous() const noexcept { return false; }

  /// slots: [size()][bytes]. In place: this rank's slot is sent, the others are filled. Throws
  /// Error(aborted | timeout | remote_error | system_error).
  virtual void all_gather(void* slots, std::size_t bytes, Stream stream) = 0;

  /// The same for what fits any transport's smallest message (<= 4 KiB): the place where ranks wait
  /// for each other, so it honours abort() and the timeout at any time.
  virtual void meet(void* slots, std::size_t bytes, Stream stream) = 0;

  /// Dense. send, recv: [count], equal or disjoint.
  virtual void all_reduce(const void* send, void* recv, std::size_t count, DataType type,
                          Reduction reduction, Stream stream) = 0;

  /// send, recv: [size()][bytes], disjoint. Slot r of send goes to rank r, into its slot of this
  /// rank's number. Throws as all_gather does.
  virtual void all_to_all(const void* send, void* recv, std::size_t bytes, Stream stream) = 0;

  /// Dense. send: [count]. recv: [Shard(count, size(), rank()).count], disjoint from send: this
  /// rank's shard of the reduction. sum alone.
  virtual void reduce_scatter(const void* send, void* recv, std::size_t count, DataType type,
                              Stream stream) = 0;

  /// data: [count][width bytes]. In place: this rank's shard is sent, the others' are filled in.
  virtual void all_gather_shards(void* data, std::size_t count, std::size_t width,
                                 Stream stream) = 0;

  /// [size()] Which node each rank is on; nodes are numbered from 0 in the order of their lowest
  /// ranks. May communicate: collective, like a call, but blocking, and not to be captured.
  [[nodiscard]] virtual std::vector<int> nodes() = 0;

  /// A transport among the ranks that pass the same color (at least 0), ordered by their ranks
  /// here. Collective; all groups must be of one size. Blocking, outside of captures and
  /// begin_group(). Its calls must be made by all ranks of this transport at the same time, each in
  /// its own group, with the same sizes (shards may differ by their remainder). It must not outlive
  /// this transport, and ends with it: abort() and give_up() of either end both, as does a failure,
  /// and async_error() of both is the same.
  [[nodiscard]] virtual std::unique_ptr<Transport> group(int color) = 0;

  /// Calls between these two may be carried out together, at end_group() at the latest. Only of
  /// asynchronous transports; not nested. Where one thread has groups of several transports open,
  /// all are carried out at its last end_group(), which throws its own transport's failure alone.
  /// What was begun is ended whatever happens, on the same thread.
  virtual void begin_group() {}
  virtual void end_group() {}

  /// What went wrong after a call of an asynchronous transport had returned: success, or a code
  /// that stays. From any thread.
  [[nodiscard]] virtual Result async_error() noexcept { return Result::success; }
  /// The sentence that belongs to it.
  [[nodiscard]] virtual std::string async_error_text() { return {}; }

  /// An asynchronous transport ends what is under way on the device once `failed` returns true,
  /// which a thread of the transport's asks every few milliseconds until it is destroyed (the
  /// caller knows why it failed: async_error() stays as it is). Others ignore it: they fail in the
  /// call.
  virtual void abort_when(std::function<bool()> failed) { static_cast<void>(failed); }

  /// This rank makes no further calls, for that reason: ranks that wait for it, now or later,
  /// throw. Best effort. From the thread of the calls.
  virtual void give_up(Result reason) noexcept = 0;

  /// Whether a call that threw may go on using its buffers: they must then never be freed. (A meet
  /// that threw does not.)
  [[nodiscard]] virtual bool keeps_buffers_after_failure() const noexcept { return false; }

  /// Whether a blocking transport's all_gather takes memory of CUDA devices as it does the host's.
  [[nodiscard]] virtual bool takes_device_memory() const noexcept { return false; }

  /// From any thread. Waiting and later calls throw Error(aborted).
  virtual void abort() noexcept = 0;
};

}  // namespace sparccl
