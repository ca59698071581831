// The MPI transport's groups and nodes, and how it is made.
#include <sparccl/mpi.hpp>

#include "transport/mpi.hpp"
#include "transport/placement.hpp"

namespace sparccl {
namespace {

/// Who are the ranks that share memory with this one.
class SharedMemory {
 public:
  SharedMemory(MPI_Comm comm, int rank) {
    check(MPI_Comm_split_type(comm, MPI_COMM_TYPE_SHARED, rank, MPI_INFO_NULL, &comm_),
          "MPI_Comm_split_type", rank);
  }
  ~SharedMemory() { MPI_Comm_free(&comm_); }
  SharedMemory(const SharedMemory&) = delete;
  SharedMemory& operator=(const SharedMemory&) = delete;

  /// The lowest of them, by its number in `whole`. No communication.
  [[nodiscard]] int lowest(MPI_Comm whole, int rank) const {
    MPI_Group all = MPI_GROUP_NULL;
    MPI_Group here = MPI_GROUP_NULL;
    const int first = 0;
    int lowest = 0;
    check(MPI_Comm_group(whole, &all), "MPI_Comm_group", rank);
    check(MPI_Comm_group(comm_, &here), "MPI_Comm_group", rank);
    const int code = MPI_Group_translate_ranks(here, 1, &first, all, &lowest);
    MPI_Group_free(&here);
    MPI_Group_free(&all);
    check(code, "MPI_Group_translate_ranks", rank);
    return lowest;
  }

 private:
  MPI_Comm comm_ = MPI_COMM_NULL;
};

}  // namespace

std::vector<int> nodes_of_ranks(MPI_Comm comm, int rank, int size, int ranks_per_node) {
  struct Told {
    int ranks_per_node;
    int lowest;  // of the ranks that share memory
  };
  // Not MPI_Allreduce: the shim that stands before that has this transport within.
  std::vector<Told> told(static_cast<std::size_t>(size));
  const Told mine{ranks_per_node, SharedMemory(comm, rank).lowest(comm, rank)};
  check(MPI_Allgather(&mine, sizeof(Told), MPI_BYTE, told.data(), sizeof(Told), MPI_BYTE, comm),
        "MPI_Allgather", rank);
  std::vector<int> ranks(told.size());
  std::vector<std::uint64_t> lowest;
  for (std::size_t other = 0; other < told.size(); ++other) {
    if (told[other].ranks_per_node != told[0].ranks_per_node) {
      throw Error(Result::mismatch, "ranks_per_node: expected the same on every rank, found " +
                                        std::to_string(told[0].ranks_per_node) + " on rank 0 and " +
                                        std::to_string(told[other].ranks_per_node) + " on rank " +
                                        std::to_string(other) + "; this is rank " +
                                        std::to_string(rank));
    }
    ranks[other] = static_cast<int>(other);
    lowest.push_back(static_cast<std::uint64_t>(told[other].lowest));
  }
  return ranks_per_node != 0 ? numbered_nodes(ranks, ranks_per_node) : numbered_nodes(lowest);
}

std::unique_ptr<Transport> MpiTransport::group(int color) {
  std::vector<int> colors(ranks_.size());
  colors[static_cast<std::size_t>(rank())] = color;
  // What makes a communicator blocks and cannot be given up: the meeting sees to it that all are
  // here.
  meet(colors.data(), sizeof(int), nullptr);
  std::vector<int> ranks;
  std::vector<std::uint64_t> keys;
  for (const int rank : members_of(colors, this->rank())) {
    ranks.push_back(ranks_[static_cast<std::size_t>(rank)]);
    keys.push_back(static_cast<std::uint64_t>(nodes_[static_cast<std::size_t>(rank)]));
  }
  return std::unique_ptr<Transport>(
      new MpiTransport(*this, color, std::move(ranks), numbered_nodes(keys)));
}

Communicator mpi_communicator(MPI_Comm communicator, const CommunicatorOptions& options) {
  require_mpi();
  return Communicator(std::make_unique<MpiTransport>(communicator, options), options);
}

}  // namespace sparccl
