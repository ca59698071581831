// What an interposed function does, whatever its counts are made of.
#pragma once

#include <mpi.h>

#include <exception>

#include "shim/mpi/calls.hpp"
#include "shim/mpi/comm.hpp"
#include "shim/mpi/life.hpp"
#include "shim/mpi/world.hpp"
#include "shim/process.hpp"

namespace sparccl::shim::mpi {

/// call(), or the communicator's error handler with what it threw.
template <class Call>
int guarded(MPI_Comm comm, const Call& call) noexcept {
  int code = MPI_ERR_OTHER;
  try {
    return call();
  } catch (const std::exception& error) {
    process().tally().failed();
    code = tell(error.what());
  }
  return hand_over(comm, code);
}

/// dense(): MPI's own.
template <class Dense>
int allreduce(const Arguments& arguments, const Dense& dense) noexcept {
  if (arguments.comm == MPI_COMM_NULL) return dense();  // MPI's own words are best
  return guarded(arguments.comm, [&] {
    begin_if_initialized();
    require_world_agrees();
    Comm& comm = Comm::of(arguments.comm);
    auto [reason, made] = comm.admit(arguments, false);
    if (!reason) reason = comm.reduce(made);
    if (!reason) return MPI_SUCCESS;
    comm.pass(*reason, arguments, made);
    return dense();
  });
}

template <class Dense>
int iallreduce(const Arguments& arguments, MPI_Request* request, const Dense& dense) noexcept {
  if (arguments.comm == MPI_COMM_NULL || request == nullptr) return dense();
  return guarded(arguments.comm, [&] {
    begin_if_initialized();
    require_world_agrees();
    Comm& comm = Comm::of(arguments.comm);
    const auto [reason, made] = comm.admit(arguments, true);
    if (!reason) return comm.start(arguments, made, request);
    comm.pass(*reason, arguments, made);
    return dense();
  });
}

}  // namespace sparccl::shim::mpi
