// The MPI transport's groups and nodes, and how it is made.
#include <numeric>

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
  int told[] = {ranks_per_node, -ranks_per_node};
  check(MPI_Allreduce(MPI_IN_PLACE, told, 2, MPI_INT, MPI_MAX, comm), "MPI_Allreduce", rank);
  if (told[0] != -told[1]) {
    throw Error(Result::mismatch, "ranks_per_node: expected the same on every rank, found " +
                                      std::to_string(-told[1]) + " to " + std::to_string(told[0]) +
                                      "; this is rank " + std::to_string(rank) + ", with " +
                                      std::to_string(ranks_per_node));
  }
  std::vector<int> lowest(static_cast<std::size_t>(size));
  if (ranks_per_node != 0) {
    std::iota(lowest.begin(), lowest.end(), 0);
    return numbered_nodes(lowest, ranks_per_node);
  }
  const int mine = SharedMemory(comm, rank).lowest(comm, rank);
  check(MPI_Allgather(&mine, 1, MPI_INT, lowest.data(), 1, MPI_INT, comm), "MPI_Allgather", rank);
  return numbered_nodes({lowest.begin(), lowest.end()});
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
