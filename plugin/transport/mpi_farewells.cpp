#include "transport/mpi_farewells.hpp"

#include <chrono>
#include <memory>
#include <vector>

#include "transport/mpi_support.hpp"

namespace sparccl {

bool MpiFarewells::hear() {
  int found = 0;
  MPI_Status status;
  check(MPI_Iprobe(MPI_ANY_SOURCE, tag, comm_, &found, &status), "MPI_Iprobe", rank_);
  if (found == 0) return false;
  check(MPI_Recv(&told_, sizeof(told_), MPI_BYTE, status.MPI_SOURCE, tag, comm_, MPI_STATUS_IGNORE),
        "MPI_Recv", rank_);
  return true;
}

void MpiFarewells::say(Waited why) noexcept try {
  if (said_) return;
  said_ = true;
  abandoned = true;  // who gets an unread message must not find it in a later communicator
  const Result reason = why == Waited::aborted ? Result::aborted : Result::timeout;
  auto farewell = std::make_unique<Farewell>(
      why == Waited::told ? told_ : Farewell{static_cast<std::int32_t>(reason), rank_});
  std::vector<MPI_Request> requests(static_cast<std::size_t>(size_), MPI_REQUEST_NULL);
  for (int to = 0; to < size_; ++to) {
    if (to == rank_) continue;
    MPI_Isend(farewell.get(), sizeof(Farewell), MPI_BYTE, to, tag, comm_,
              &requests[static_cast<std::size_t>(to)]);
  }
  using Clock = std::chrono::steady_clock;
  int sent = 0;
  const Clock::time_point start = Clock::now();
  while (sent == 0 && Clock::now() - start < std::chrono::milliseconds(200)) {
    MPI_Testall(size_, requests.data(), &sent, MPI_STATUSES_IGNORE);
  }
  if (sent == 0) static_cast<void>(farewell.release());  // MPI may still read it, for ever
} catch (...) {
}

}  // namespace sparccl
