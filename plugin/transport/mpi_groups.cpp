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

/// What makes a communicator blocks and cannot be given up: the meeting before it sees to it that
/// all ranks are there.
std::vector<int> MpiTransport::nodes() {
  if (ranks_per_node_ != 0) return numbered_nodes(ranks_, ranks_per_node_);
  std::vector<int> lowest(ranks_.size());
  meet(lowest.data(), sizeof(int), nullptr);
  lowest[static_cast<std::size_t>(rank())] =
      SharedMemory(mpi_.comm, rank()).lowest(mpi_.comm, rank());
  meet(lowest.data(), sizeof(int), nullptr);
  return numbered_nodes({lowest.begin(), lowest.end()});
}

std::unique_ptr<Transport> MpiTransport::group(int color) {
  std::vector<int> colors(ranks_.size());
  colors[static_cast<std::size_t>(rank())] = color;
  meet(colors.data(), sizeof(int), nullptr);  // the same
  std::vector<int> ranks;
  for (const int rank : members_of(colors, this->rank())) {
    ranks.push_back(ranks_[static_cast<std::size_t>(rank)]);
  }
  return std::unique_ptr<Transport>(new MpiTransport(*this, color, std::move(ranks)));
}

Communicator mpi_communicator(MPI_Comm communicator, const CommunicatorOptions& options) {
  require_mpi();
  return Communicator(std::make_unique<MpiTransport>(communicator, options), options);
}

}  // namespace sparccl
