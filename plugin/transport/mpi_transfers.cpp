// How the MPI transport moves packets, once all ranks have agreed to it.
#include <climits>

#include "transport/mpi.hpp"

namespace sparccl {

/// Packets are whole units, so that MPI's int reaches 2^31 * 64 bytes.
MPI_Datatype MpiTransport::in_units(std::size_t bytes, int& count) const {
  const bool whole = bytes % MpiComm::unit_bytes == 0;
  const std::size_t units = whole ? bytes / MpiComm::unit_bytes : bytes;
  if (units > INT_MAX) {
    throw Error(Result::invalid_argument,
                "bytes per rank: expected at most " + std::to_string(INT_MAX) + " units of " +
                    (whole ? "64 bytes" : "1 byte") + ", found " + std::to_string(units));
  }
  count = static_cast<int>(units);
  return whole ? mpi_.unit : MPI_BYTE;
}

void MpiTransport::all_gather(void* slots, std::size_t bytes, Stream) {
  require_open();
  if (bytes == 0) return;
  int count = 0;
  const MPI_Datatype unit = in_units(bytes, count);
  MPI_Request request = MPI_REQUEST_NULL;
  check(MPI_Iallgather(MPI_IN_PLACE, 0, MPI_DATATYPE_NULL, slots, count, unit, mpi_.comm, &request),
        "MPI_Iallgather", rank());
  complete({&request, 1}, "MPI_Iallgather");
}

void MpiTransport::all_to_all(const void* send, void* recv, std::size_t bytes, Stream) {
  require_open();
  if (bytes == 0) return;
  int count = 0;
  const MPI_Datatype unit = in_units(bytes, count);
  MPI_Request request = MPI_REQUEST_NULL;
  check(MPI_Ialltoall(send, count, unit, recv, count, unit, mpi_.comm, &request), "MPI_Ialltoall",
        rank());
  complete({&request, 1}, "MPI_Ialltoall");
}

}  // namespace sparccl
