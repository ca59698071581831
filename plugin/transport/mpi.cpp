#include <sched.h>

#include <algorithm>
#include <cstring>
#include <numeric>
#include <thread>
#include <utility>

#include "transport/mpi.hpp"
#include "transport/mpi_device.hpp"
#include "transport/placement.hpp"

namespace sparccl {
namespace {

using Clock = std::chrono::steady_clock;
using std::chrono::milliseconds;

constexpr std::size_t meeting_bytes_at_first = 256;  // more than agreeing takes: no allocation then

/// What is refused is not waited for.
MPI_Comm checked(MPI_Comm original, const CommunicatorOptions& options) {
  static_cast<void>(checked_ranks_per_node(options));
  return original;
}

std::vector<int> up_to(int size) {
  std::vector<int> ranks(static_cast<std::size_t>(size));
  std::iota(ranks.begin(), ranks.end(), 0);
  return ranks;
}

}  // namespace

MpiTransport::MpiTransport(MPI_Comm original, const CommunicatorOptions& options)
    : mpi_(MpiComm::Copy{checked(original, options)}),
      nodes_(nodes_of_ranks(mpi_.comm, mpi_.rank, mpi_.size, options.ranks_per_node)),
      ring_(nodes_, mpi_.rank),
      farewells_(std::make_shared<MpiFarewells>(mpi_.comm, mpi_.rank, mpi_.size)),
      ranks_(up_to(mpi_.size)),
      timeout_(std::min<std::uint64_t>(options.timeout_ms, 1'000'000'000'000)),  // 31 years
      requests_(2 * static_cast<std::size_t>(mpi_.size - 1), MPI_REQUEST_NULL),
      meeting_(std::make_unique_for_overwrite<std::byte[]>(static_cast<std::size_t>(mpi_.size) *
                                                           meeting_bytes_at_first)),
      meeting_bytes_(meeting_bytes_at_first) {}

MpiTransport::MpiTransport(const MpiTransport& whole, int color, std::vector<int> ranks,
                           std::vector<int> nodes)
    : mpi_(MpiComm::Part{whole.mpi_.comm, color, whole.mpi_.rank}),
      nodes_(std::move(nodes)),
      ring_(nodes_, mpi_.rank),
      farewells_(whole.farewells_),
      ranks_(std::move(ranks)),
      timeout_(whole.timeout_),
      requests_(2 * static_cast<std::size_t>(mpi_.size - 1), MPI_REQUEST_NULL),
      meeting_(std::make_unique_for_overwrite<std::byte[]>(static_cast<std::size_t>(mpi_.size) *
                                                           meeting_bytes_at_first)),
      meeting_bytes_(meeting_bytes_at_first) {}

MpiTransport::~MpiTransport() {
  if (farewells_->aborted && mpi_is_running()) farewells_->say(Waited::aborted);
  mpi_.abandoned = farewells_->abandoned;
}

bool MpiTransport::takes_device_memory() const noexcept { return mpi_gathers_device_memory(); }

void MpiTransport::give_up(Result reason) noexcept {
  if (!mpi_is_running()) return;
  farewells_->say(reason == Result::aborted ? Waited::aborted : Waited::timed_out);
}

void MpiTransport::require_open() const {
  require_mpi();
  if (farewells_->gave_up) {
    throw Error(Result::invalid_usage,
                "an earlier call was given up: this communicator cannot be used any more");
  }
}

/// awake: how long to yield between two polls before it sleeps instead, and listens for farewells.
/// abort_grace: how long an abort leaves the others time to end the call.
template <class Done>
Waited MpiTransport::wait(Done done, Milliseconds awake, Milliseconds abort_grace) {
  constexpr int hot_polls = 20;
  for (int i = 0; i < hot_polls; ++i) {
    if (done()) return Waited::done;
  }
  const Clock::time_point start = Clock::now();
  while (!done()) {
    const auto waited = Clock::now() - start;
    if (farewells_->aborted && waited >= abort_grace) return Waited::aborted;
    if (timeout_.count() != 0 && waited >= timeout_) return Waited::timed_out;
    if (waited < awake) {
      sched_yield();
    } else {
      if (farewells_->hear()) return Waited::told;
      std::this_thread::sleep_for(std::chrono::microseconds(50));
    }
  }
  return Waited::done;
}

/// One small message to and from every rank rather than an MPI_Iallgather: it says who is missing,
/// and its receives can be cancelled.
void MpiTransport::meet(void* slots, std::size_t bytes, Stream) {
  require_open();
  if (farewells_->aborted) {
    farewells_->say(Waited::aborted);
    throw Error(Result::aborted, "the communicator was aborted by " + own());
  }
  if (size() == 1) return;
  const auto total = static_cast<std::size_t>(size()) * bytes;
  if (bytes > meeting_bytes_ || meeting_ == nullptr) {
    meeting_ = std::make_unique_for_overwrite<std::byte[]>(total);
    meeting_bytes_ = bytes;
  }
  std::memcpy(meeting_.get(), slots, total);
  Waited waited = Waited::done;
  try {
    post_meeting(bytes);
    waited = wait(
        [&] {
          int done = 0;
          check(MPI_Testall(static_cast<int>(requests_.size()), requests_.data(), &done,
                            MPI_STATUSES_IGNORE),
                "MPI_Testall", rank());
          return done != 0;
        },
        milliseconds(2), milliseconds(0));
  } catch (...) {
    farewells_->gave_up = farewells_->abandoned = true;
    static_cast<void>(meeting_.release());  // MPI may still write to it, for ever
    throw;
  }
  if (waited == Waited::done && farewells_->hear()) waited = Waited::told;
  if (waited != Waited::done) give_up_meeting(waited);
  std::memcpy(slots, meeting_.get(), total);
}

void MpiTransport::post_meeting(std::size_t bytes) {
  const auto slot = [&](int r) { return meeting_.get() + bytes * static_cast<std::size_t>(r); };
  const auto peers = static_cast<std::size_t>(size() - 1);
  const int count = static_cast<int>(bytes);
  for (std::size_t i = 0; i < peers; ++i) {
    const int from = (rank() + 1 + static_cast<int>(i)) % size();
    check(MPI_Irecv(slot(from), count, MPI_BYTE, from, tag_meet, mpi_.comm, &requests_[i]),
          "MPI_Irecv", rank());
  }
  for (std::size_t i = 0; i < peers; ++i) {
    const int to = (rank() + 1 + static_cast<int>(i)) % size();
    check(MPI_Isend(slot(rank()), count, MPI_BYTE, to, tag_meet, mpi_.comm, &requests_[peers + i]),
          "MPI_Isend", rank());
  }
}

/// Takes back the receives that nothing arrived for and returns their ranks.
std::vector<int> MpiTransport::withdraw_meeting() {
  std::vector<int> missing;
  const std::size_t peers = requests_.size() / 2;
  bool all_ended = true;
  for (std::size_t i = 0; i < requests_.size(); ++i) {
    MPI_Request& request = requests_[i];
    if (request == MPI_REQUEST_NULL) continue;
    int ended = 0;
    MPI_Status status;
    if (i < peers) check(MPI_Cancel(&request), "MPI_Cancel", rank());
    // A cancelled receive ends at once, unless its message is on the way: then it ends soon, if
    // the sender still makes progress. Sends of this size have mostly left, and are not cancelled.
    const Clock::time_point start = Clock::now();
    while (ended == 0 && Clock::now() - start < milliseconds(200)) {
      check(MPI_Test(&request, &ended, &status), "MPI_Test", rank());
      if (ended == 0) sched_yield();
    }
    all_ended = all_ended && ended != 0;
    if (i >= peers) continue;
    int cancelled = 0;
    if (ended != 0) check(MPI_Test_cancelled(&status, &cancelled), "MPI_Test_cancelled", rank());
    if (cancelled != 0)
      missing.push_back(
          ranks_[static_cast<std::size_t>((rank() + 1 + static_cast<int>(i)) % size())]);
  }
  if (!all_ended) static_cast<void>(meeting_.release());  // MPI may still use it, for ever
  std::sort(missing.begin(), missing.end());
  return missing;
}

void MpiTransport::give_up_meeting(Waited why) {
  farewells_->gave_up = farewells_->abandoned = true;
  std::vector<int> missing;
  try {
    missing = withdraw_meeting();
  } catch (...) {
    static_cast<void>(meeting_.release());  // MPI may still write to it, for ever
    throw;
  }
  farewells_->say(why);
  if (why == Waited::aborted) {
    throw Error(Result::aborted, "the communicator was aborted by " + own());
  }
  const std::string by = farewells_->first();
  if (why == Waited::told && farewells_->first_aborted()) {
    throw Error(Result::remote_error, by + " aborted its communicator");
  }
  if (missing.empty() && why == Waited::told) {
    throw Error(Result::remote_error, by + " gave up before this rank arrived");
  }
  if (missing.empty()) {
    throw Error(Result::timeout, "the messages of all ranks took longer than " +
                                     std::to_string(timeout_.count()) + " ms");
  }
  std::string names;
  for (const int r : missing) names += (names.empty() ? "" : ", ") + std::to_string(r);
  const std::string limit = why == Waited::told
                                ? " before " + by + " gave up"
                                : " within " + std::to_string(timeout_.count()) + " ms";
  throw Error(Result::timeout, (missing.size() == 1 ? "rank " : "ranks ") + names +
                                   " did not arrive" + limit + "; all " + std::to_string(size()) +
                                   " ranks were expected");
}

/// Carries a transfer through that all ranks have agreed to. Giving up in the middle is the last
/// resort: a request of a collective cannot be cancelled, so MPI may go on using the buffers.
void MpiTransport::complete(std::span<MPI_Request> requests, const char* call) {
  Waited waited = Waited::done;
  try {
    waited = wait(
        [&] {
          int done = 0;
          check(MPI_Testall(static_cast<int>(requests.size()), requests.data(), &done,
                            MPI_STATUSES_IGNORE),
                call, rank());
          return done != 0;
        },
        milliseconds(50), milliseconds(1000));
  } catch (...) {
    farewells_->gave_up = farewells_->abandoned = true;
    throw;
  }
  if (waited == Waited::done) return;
  farewells_->gave_up = farewells_->abandoned = true;
  const std::string tail =
      std::string(" during ") + call +
      ", after all ranks had agreed to it; keep its buffers until MPI_Finalize";
  farewells_->say(waited);
  if (waited == Waited::told) {
    throw Error(Result::remote_error,
                farewells_->first() +
                    (farewells_->first_aborted() ? " aborted its communicator" : " gave up") +
                    tail);
  }
  if (waited == Waited::aborted) {
    throw Error(Result::aborted, "the communicator was aborted by " + own() + tail);
  }
  throw Error(Result::timeout,
              own() + " waited " + std::to_string(timeout_.count()) + " ms" + tail);
}

}  // namespace sparccl
