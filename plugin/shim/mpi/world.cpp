#include "shim/mpi/world.hpp"

#include <mpi.h>

#include <optional>
#include <vector>

#include <sparccl/mpi.hpp>

#include "shim/greeting.hpp"
#include "shim/mpi/calls.hpp"
#include "shim/process.hpp"

namespace sparccl::shim::mpi {
namespace {

std::optional<Error> found_wrong;

[[noreturn]] void nobody_came() {
  throw Error(
      Result::timeout,
      "MPI_COMM_WORLD: expected every rank to load this shim, found one that did not answer "
      "within " +
          std::to_string(process().settings().timeout_ms) +
          " ms; is LD_PRELOAD set on every host?");
}

/// Programs of MPI 4's sessions have none.
bool has_world() noexcept {
  int initialized = 0, finalized = 0;
  PMPI_Initialized(&initialized);
  PMPI_Finalized(&finalized);
  return initialized != 0 && finalized == 0;
}

/// On a communicator of its own, which a rank without the shim leaves without an answer.
void greet() {
  const std::uint64_t timeout_ms = process().settings().timeout_ms;
  MPI_Comm own = MPI_COMM_NULL;
  MPI_Request request = MPI_REQUEST_NULL;
  PMPI_Comm_idup(MPI_COMM_WORLD, &own, &request);
  if (!wait(request, timeout_ms)) nobody_came();

  const std::vector<std::byte> mine = Greeting{process().shared(), ""}.packed();
  std::vector<std::byte> all(mine.size() * static_cast<std::size_t>(world_size()));
  const int bytes = static_cast<int>(mine.size());
  PMPI_Iallgather(mine.data(), bytes, MPI_BYTE, all.data(), bytes, MPI_BYTE, own, &request);
  if (!wait(request, timeout_ms)) {
    static_cast<void>(new std::vector<std::byte>(std::move(all)));  // MPI may still write to it
    nobody_came();
  }
  require_agreement(all);
  if (process().settings().disable) {
    PMPI_Comm_free(&own);
    return;
  }
  world().duplicate = own;
  world().communicator = mpi_communicator(own, process().settings().communicator());
}

}  // namespace

World& world() noexcept {
  static World& instance = *new World;
  return instance;
}

void forget_world() noexcept {
  World& known = world();
  if (!known.communicator) return;
  const bool sound = known.communicator->async_error() == Result::success;
  known.communicator.reset();
  if (sound) PMPI_Comm_free(&known.duplicate);
}

bool greet_world() {
  if (world_size() < 2) return true;
  try {
    greet();
    return true;
  } catch (const Error& error) {
    found_wrong = error;
    return false;
  }
}

void require_world_agrees() {
  if (found_wrong) throw *found_wrong;
}

int world_rank() noexcept {
  int rank = 0;
  if (has_world()) PMPI_Comm_rank(MPI_COMM_WORLD, &rank);
  return rank;
}

int world_size() noexcept {
  int size = 1;
  if (has_world()) PMPI_Comm_size(MPI_COMM_WORLD, &size);
  return size;
}

}  // namespace sparccl::shim::mpi
