// From MPI's arguments to a call of the shim's, and from its errors to MPI's.
#pragma once

#include <mpi.h>

#include <cstdint>
#include <optional>
#include <string>

#include "shim/call.hpp"

namespace sparccl::shim::mpi {

/// The arguments of MPI_Allreduce, as they came.
struct Arguments {
  const void* send = nullptr;
  void* recv = nullptr;
  std::uint64_t count = 0;
  MPI_Datatype type = MPI_DATATYPE_NULL;
  MPI_Op op = MPI_OP_NULL;
  MPI_Comm comm = MPI_COMM_NULL;
};

/// Of a sum of float or double, under any of their names in C and Fortran; else the reason.
struct Found {
  std::optional<Key> key = {};
  Reason reason = Reason::operation;
};
[[nodiscard]] Found key_of(const Arguments& arguments) noexcept;

/// Of one rank's buffer; 0 where MPI does not tell.
[[nodiscard]] std::uint64_t bytes_of(const Arguments& arguments) noexcept;

/// Logs a failure, and gives a code of MPI's whose MPI_Error_string is its sentence. A program that
/// goes on meets the same failure at every call: it is told once.
[[nodiscard]] int tell(const std::string& sentence) noexcept;

/// To the communicator's error handler, which may end the job. Returns the code.
int hand_over(MPI_Comm comm, int code) noexcept;

/// Waits for a request of this thread's. false: not within the time; 0 waits for ever.
[[nodiscard]] bool wait(MPI_Request& request, std::uint64_t timeout_ms);

}  // namespace sparccl::shim::mpi
