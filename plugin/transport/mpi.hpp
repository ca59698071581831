// Ranks of an MPI communicator, or of a part of it.
#pragma once

#include <chrono>
#include <cstddef>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include <sparccl/sparccl.hpp>

#include "transport/mpi_farewells.hpp"
#include "transport/mpi_support.hpp"
#include "transport/ring.hpp"
#include "transport/transport.hpp"

namespace sparccl {

/// [size] Of the ranks of a communicator, as Transport::nodes(). Collective, and blocks, as what
/// makes a communicator does. Throws on every rank where they were told different things.
[[nodiscard]] std::vector<int> nodes_of_ranks(MPI_Comm comm, int rank, int size,
                                              int ranks_per_node);

/// Every wait polls nonblocking calls, for three reasons: abort() and the timeout work; what a
/// rank that gave up says is heard; and a rank that waits yields its core, which blocking calls of
/// MPICH do not. What blocks, MPI's calls that make communicators, comes behind a meeting
/// of all, but for the constructor.
class MpiTransport final : public Transport {
 public:
  /// Collective. MPI must be running.
  MpiTransport(MPI_Comm original, const CommunicatorOptions& options);
  ~MpiTransport() override;

  [[nodiscard]] int rank() const noexcept override { return mpi_.rank; }
  [[nodiscard]] int size() const noexcept override { return mpi_.size; }

  void all_gather(void* slots, std::size_t bytes, Stream) override;
  void meet(void* slots, std::size_t bytes, Stream) override;
  void all_reduce(const void* send, void* recv, std::size_t count, DataType type,
                  Reduction reduction, Stream) override;
  void all_to_all(const void* send, void* recv, std::size_t bytes, Stream) override;
  void reduce_scatter(const void* send, void* recv, std::size_t count, DataType type,
                      Stream) override;
  void all_gather_shards(void* data, std::size_t count, std::size_t width, Stream) override;
  [[nodiscard]] std::vector<int> nodes() override { return nodes_; }
  [[nodiscard]] std::unique_ptr<Transport> group(int color) override;
  void abort() noexcept override { farewells_->aborted = true; }
  void give_up(Result reason) noexcept override;
  // A request of a collective cannot be cancelled.
  [[nodiscard]] bool keeps_buffers_after_failure() const noexcept override { return true; }
  [[nodiscard]] bool takes_device_memory() const noexcept override;

 private:
  using Milliseconds = std::chrono::milliseconds;

  /// A group: ranks are those of the whole.
  MpiTransport(const MpiTransport& whole, int color, std::vector<int> ranks,
               std::vector<int> nodes);

  void require_open() const;
  template <class Done>
  Waited wait(Done done, Milliseconds awake, Milliseconds abort_grace);
  void post_meeting(std::size_t bytes);
  [[nodiscard]] std::vector<int> withdraw_meeting();
  [[noreturn]] void give_up_meeting(Waited why);
  void complete(std::span<MPI_Request> requests, const char* call);
  [[nodiscard]] MPI_Datatype in_units(std::size_t bytes, int& count) const;
  void reduce_by_mpi(const void* send, void* recv, std::size_t count, DataType type,
                     Reduction reduction);
  void reduce_gathered(const void* send, void* recv, std::size_t count, DataType type,
                       Reduction reduction);
  void reduce_with_peer(const void* send, void* recv, std::size_t count, DataType type,
                        Reduction reduction);
  void reduce_shards(const void* send, void* recv, std::size_t count, DataType type,
                     Reduction reduction);
  void gather_shards(void* data, std::size_t count, std::size_t width);
  void reduce_around(const void* send, void* recv, std::size_t count, DataType type,
                     Reduction reduction);
  void gather_around(void* data, std::size_t count, std::size_t width);
  [[nodiscard]] std::byte* room_for_contributions(std::size_t bytes);
  template <class Post>
  void exchange_contributions(const Post& post);
  template <class Post>
  void exchange_parts(const char* call, const Post& post);
  void send_parts(const void* data, std::size_t bytes, int to);
  void receive_parts(void* data, std::size_t bytes, int from);
  [[nodiscard]] std::string own() const { return "rank " + std::to_string(farewells_->rank()); }

  static constexpr int tag_meet = 1;  // 2 is that of farewells
  static constexpr int tag_shard = 3;

  MpiComm mpi_;
  const std::vector<int> nodes_;  // [size] as nodes()
  const Ring ring_;
  std::shared_ptr<MpiFarewells> farewells_;
  const std::vector<int> ranks_;  // [size] in the communicator of all, for messages and for nodes
  const Milliseconds timeout_;    // 0: for ever
  std::vector<MPI_Request> requests_;     // [2 (size - 1)] of a meeting: receives, then sends
  std::unique_ptr<std::byte[]> meeting_;  // [size][meeting_bytes_] MPI's own copy of the slots
  std::size_t meeting_bytes_ = 0;
  std::vector<MPI_Request> parts_;  // of shards
  std::vector<const void*> sources_ = std::vector<const void*>(ranks_.size());
  std::unique_ptr<std::byte[]> contributed_;  // by the others, to be reduced
  std::size_t contributed_bytes_ = 0;
};

}  // namespace sparccl
