// Ranks that are the processes of an MPI job: mpirun -n 4 train_mnist.
#include <mpi.h>

#include <sparccl/mpi.hpp>

#include <cstdlib>

#include "ranks/world.hpp"

namespace mnist {
namespace {

int world_rank() {
  int rank = 0;
  MPI_Comm_rank(MPI_COMM_WORLD, &rank);
  return rank;
}

int world_size() {
  int size = 0;
  MPI_Comm_size(MPI_COMM_WORLD, &size);
  return size;
}

/// Errors end the job: that is what MPI_COMM_WORLD does unless told otherwise.
class MpiWorld final : public World {
 public:
  MpiWorld() : World(world_rank(), world_size()) {}

  int local_rank() override {
    MPI_Comm machine = MPI_COMM_NULL;
    MPI_Comm_split_type(MPI_COMM_WORLD, MPI_COMM_TYPE_SHARED, rank(), MPI_INFO_NULL, &machine);
    int local = 0;
    MPI_Comm_rank(machine, &local);
    MPI_Comm_free(&machine);
    return local;
  }

  std::vector<std::byte> all_gather(std::span<const std::byte> mine) override {
    std::vector<std::byte> all(mine.size() * static_cast<std::size_t>(size()));
    const auto count = static_cast<int>(mine.size());
    MPI_Allgather(mine.data(), count, MPI_BYTE, all.data(), count, MPI_BYTE, MPI_COMM_WORLD);
    return all;
  }

  sparccl::Communicator communicator() override {
    return sparccl::mpi_communicator(MPI_COMM_WORLD);
  }
};

}  // namespace

int run_job(const Body& body) {
  MPI_Init(nullptr, nullptr);
  int status = EXIT_FAILURE;
  try {
    MpiWorld world;
    status = body(world);
  } catch (const Reported&) {
    status = EXIT_FAILURE;
  } catch (const std::exception& exception) {
    // The other ranks may be waiting for this one in a call that will never come.
    complain("rank " + std::to_string(world_rank()) + ": " + exception.what());
    MPI_Abort(MPI_COMM_WORLD, EXIT_FAILURE);
  }
  MPI_Finalize();
  return status;
}

}  // namespace mnist
