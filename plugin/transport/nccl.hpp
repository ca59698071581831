// Ranks of an NCCL communicator. Its calls are asynchronous, on the caller's stream.
#pragma once

#include <condition_variable>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include <sparccl/sparccl.hpp>

#include "transport/nccl_comm.hpp"
#include "transport/nccl_fate.hpp"
#include "transport/nccl_waits.hpp"
#include "transport/transport.hpp"

namespace sparccl {

/// A call returns when NCCL has enqueued it. From then on a watchdog thread looks every 10 ms for
/// errors of NCCL, overdue exchanges and the caller's own reasons, and aborts the communicator on
/// the first, so that the stream goes on (with garbage: async_error() says so).
///
/// A group of several transports of one thread: begin_group() of each, their exchanges, end_group()
/// of each that began. The last end_group() of the thread enqueues them all, throws what went wrong
/// for its own transport, and leaves the others' to their async_error(). A transport that has not
/// begun one, but is called while its thread has one open, joins it. No call may lie between
/// ncclGroupStart and ncclGroupEnd of the user's: what follows it would be enqueued before it.
class NcclTransport final : public Transport {
 public:
  /// Collective. See NcclComm.
  NcclTransport(ncclComm_t original, const CommunicatorOptions& options);
  ~NcclTransport() override;

  [[nodiscard]] int rank() const noexcept override { return comm_.rank(); }
  [[nodiscard]] int size() const noexcept override { return comm_.size(); }
  [[nodiscard]] bool asynchronous() const noexcept override { return true; }

  void all_gather(void* slots, std::size_t bytes, Stream stream) override;
  void meet(void* slots, std::size_t bytes, Stream stream) override;
  void all_reduce(const void* send, void* recv, std::size_t count, DataType type,
                  Reduction reduction, Stream stream) override;
  void all_to_all(const void* send, void* recv, std::size_t bytes, Stream stream) override;
  void reduce_scatter(const void* send, void* recv, std::size_t count, DataType type,
                      Stream stream) override;
  void all_gather_shards(void* data, std::size_t count, std::size_t width, Stream stream) override;
  [[nodiscard]] std::vector<int> nodes() override;
  [[nodiscard]] std::unique_ptr<Transport> group(int color) override;
  void begin_group() override;
  void end_group() override;
  [[nodiscard]] Result async_error() noexcept override { return fate_->failure(); }
  [[nodiscard]] std::string async_error_text() override { return fate_->text(); }
  void abort_when(std::function<bool()> failed) override;
  void give_up(Result reason) noexcept override;
  void abort() noexcept override;

 private:
  NcclTransport(NcclTransport& whole, int color);

  template <class Call>
  void exchange(const Exchange& what, Stream stream, const Call& call);
  void copy(void* to, const void* from, std::size_t bytes, Stream stream);
  [[nodiscard]] bool joins_group();
  void settle(ncclResult_t state, const char* call);
  void settle_group(ncclResult_t state) noexcept;
  void require_open();
  void fail(Result code, const std::string& text) noexcept;
  void end_soon() noexcept;
  [[noreturn]] void throw_failure();
  [[nodiscard]] std::string own() const { return fate_->own(); }

  void watch() noexcept;
  void look();
  [[nodiscard]] bool caller_failed();

  const int ranks_per_node_;  // first: what is refused is not waited for
  NcclComm comm_;
  const std::shared_ptr<NcclFate> fate_;
  const std::chrono::milliseconds timeout_;  // 0: for ever
  Waits waits_;
  bool in_group_ = false;

  std::mutex caller_mutex_;
  std::function<bool()> caller_failed_;

  std::mutex watch_mutex_;
  std::condition_variable woken_;
  bool stop_ = false;
  bool look_now_ = false;
  std::thread watchdog_;  // last: it uses the others
};

}  // namespace sparccl
