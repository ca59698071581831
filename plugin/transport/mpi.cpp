#include <sched.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <chrono>
#include <climits>
#include <cstdint>
#include <cstring>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include <sparccl/mpi.hpp>

#include "dense.hpp"
#include "transport/mpi_device.hpp"
#include "transport/mpi_support.hpp"
#include "transport/transport.hpp"

namespace sparccl {
namespace {

using Clock = std::chrono::steady_clock;
using std::chrono::milliseconds;

/// Every wait polls a nonblocking call, for three reasons: abort() and the timeout work; what a
/// rank that gave up says is heard; and a rank that waits yields its core, which blocking calls of
/// MPICH do not.
class MpiTransport final : public Transport {
 public:
  MpiTransport(MPI_Comm original, const CommunicatorOptions& options);
  ~MpiTransport() override;

  [[nodiscard]] int rank() const noexcept override { return mpi_.rank; }
  [[nodiscard]] int size() const noexcept override { return mpi_.size; }

  void all_gather(void* slots, std::size_t bytes, Stream) override;
  void meet(void* slots, std::size_t bytes, Stream) override;
  void all_reduce(const void* send, void* recv, std::size_t count, DataType type,
                  Reduction reduction, Stream) override;
  void abort() noexcept override { aborted_ = true; }
  void give_up(Result reason) noexcept override {
    if (mpi_is_running()) {
      say_farewell(reason == Result::aborted ? Waited::aborted : Waited::timed_out);
    }
  }
  // A request of a collective cannot be cancelled.
  [[nodiscard]] bool keeps_buffers_after_failure() const noexcept override { return true; }
  [[nodiscard]] bool takes_device_memory() const noexcept override {
    return mpi_gathers_device_memory();
  }

 private:
  enum class Waited { done, timed_out, aborted, told };  // told: another rank gave up

  /// What a rank that gives up tells the others: why, and who was the first. Whoever is told gives
  /// up too and passes it on, so that all name the same cause.
  struct Farewell {
    std::int32_t reason;  // Result::timeout or Result::aborted
    std::int32_t rank;
  };

  static constexpr int tag_meet = 1;
  static constexpr int tag_farewell = 2;
  static constexpr std::size_t piece = std::size_t{1} << 22;  // entries per MPI_Iallreduce

  void require_open();
  template <class Done>
  Waited wait(Done done, milliseconds awake, milliseconds abort_grace);
  void post_meeting(std::size_t bytes);
  [[nodiscard]] std::vector<int> withdraw_meeting();
  [[noreturn]] void give_up_meeting(Waited why);
  void complete(MPI_Request request, const char* call);
  void reduce_piece(const void* send, void* recv, std::size_t count, DataType type,
                    Reduction reduction);
  [[nodiscard]] bool hear_farewell();
  void say_farewell(Waited why) noexcept;

  Duplicate mpi_;
  milliseconds timeout_;  // 0: for ever
  std::atomic<bool> aborted_ = false;
  bool gave_up_ = false;
  bool said_farewell_ = false;
  Farewell told_{};                       // by another rank
  std::vector<MPI_Request> requests_;     // [2 (size - 1)] of a meeting: receives, then sends
  std::unique_ptr<std::byte[]> meeting_;  // [size][meeting_bytes_] MPI's own copy of the slots
  std::size_t meeting_bytes_ = 0;
  std::unique_ptr<float[]> wide_;  // [piece] of a 16-bit all_reduce
};

MpiTransport::MpiTransport(MPI_Comm original, const CommunicatorOptions& options)
    : mpi_(original),
      timeout_(std::min<std::uint64_t>(options.timeout_ms, 1'000'000'000'000)),  // 31 years
      requests_(2 * static_cast<std::size_t>(mpi_.size - 1), MPI_REQUEST_NULL),
      meeting_(
          std::make_unique_for_overwrite<std::byte[]>(static_cast<std::size_t>(mpi_.size) * 256)),
      meeting_bytes_(256) {}  // more than agreeing takes, so that calls allocate nothing

MpiTransport::~MpiTransport() {
  if (aborted_ && mpi_is_running()) say_farewell(Waited::aborted);
}

void MpiTransport::require_open() {
  require_mpi();
  if (gave_up_) {
    throw Error(Result::invalid_usage,
                "an earlier call was given up: this communicator cannot be used any more");
  }
}

/// awake: how long to yield between two polls before it sleeps instead, and listens for farewells.
/// abort_grace: how long an abort leaves the others time to end the call.
template <class Done>
MpiTransport::Waited MpiTransport::wait(Done done, milliseconds awake, milliseconds abort_grace) {
  constexpr int hot_polls = 20;
  for (int i = 0; i < hot_polls; ++i) {
    if (done()) return Waited::done;
  }
  const Clock::time_point start = Clock::now();
  while (!done()) {
    const auto waited = Clock::now() - start;
    if (aborted_ && waited >= abort_grace) return Waited::aborted;
    if (timeout_.count() != 0 && waited >= timeout_) return Waited::timed_out;
    if (waited < awake) {
      sched_yield();
    } else {
      if (hear_farewell()) return Waited::told;
      std::this_thread::sleep_for(std::chrono::microseconds(50));
    }
  }
  return Waited::done;
}

/// One small message to and from every rank rather than an MPI_Iallgather: it says who is missing,
/// and its receives can be cancelled.
void MpiTransport::meet(void* slots, std::size_t bytes, Stream) {
  require_open();
  if (aborted_) {
    say_farewell(Waited::aborted);
    throw Error(Result::aborted, "the communicator was aborted by rank " + std::to_string(rank()));
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
    gave_up_ = mpi_.abandoned = true;
    static_cast<void>(meeting_.release());  // MPI may still write to it, for ever
    throw;
  }
  if (waited == Waited::done && hear_farewell()) waited = Waited::told;
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
    if (cancelled != 0) missing.push_back((rank() + 1 + static_cast<int>(i)) % size());
  }
  if (!all_ended) static_cast<void>(meeting_.release());  // MPI may still use it, for ever
  std::sort(missing.begin(), missing.end());
  return missing;
}

void MpiTransport::give_up_meeting(Waited why) {
  gave_up_ = mpi_.abandoned = true;
  std::vector<int> missing;
  try {
    missing = withdraw_meeting();
  } catch (...) {
    static_cast<void>(meeting_.release());  // MPI may still write to it, for ever
    throw;
  }
  say_farewell(why);
  if (why == Waited::aborted) {
    throw Error(Result::aborted, "the communicator was aborted by rank " + std::to_string(rank()));
  }
  const std::string by = "rank " + std::to_string(told_.rank);
  if (why == Waited::told && told_.reason == static_cast<std::int32_t>(Result::aborted)) {
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
void MpiTransport::complete(MPI_Request request, const char* call) {
  Waited waited = Waited::done;
  try {
    waited = wait(
        [&] {
          int done = 0;
          check(MPI_Test(&request, &done, MPI_STATUS_IGNORE), call, rank());
          return done != 0;
        },
        milliseconds(50), milliseconds(1000));
  } catch (...) {
    gave_up_ = mpi_.abandoned = true;
    throw;
  }
  if (waited == Waited::done) return;
  gave_up_ = mpi_.abandoned = true;
  const std::string tail =
      std::string(" during ") + call +
      ", after all ranks had agreed to it; keep its buffers until MPI_Finalize";
  say_farewell(waited);
  if (waited == Waited::told) {
    const bool aborted = told_.reason == static_cast<std::int32_t>(Result::aborted);
    throw Error(Result::remote_error, "rank " + std::to_string(told_.rank) +
                                          (aborted ? " aborted its communicator" : " gave up") +
                                          tail);
  }
  const std::string own = "rank " + std::to_string(rank());
  if (waited == Waited::aborted) {
    throw Error(Result::aborted, "the communicator was aborted by " + own + tail);
  }
  throw Error(Result::timeout, own + " waited " + std::to_string(timeout_.count()) + " ms" + tail);
}

void MpiTransport::all_gather(void* slots, std::size_t bytes, Stream) {
  require_open();
  if (bytes == 0) return;
  // Packets are whole units, so that MPI's int reaches 2^31 * 64 bytes.
  const bool whole = bytes % Duplicate::unit_bytes == 0;
  const std::size_t count = whole ? bytes / Duplicate::unit_bytes : bytes;
  if (count > INT_MAX) {
    throw Error(Result::invalid_argument,
                "bytes per rank: expected at most " + std::to_string(INT_MAX) + " units of " +
                    (whole ? "64 bytes" : "1 byte") + ", found " + std::to_string(count));
  }
  const MPI_Datatype type = whole ? mpi_.unit : MPI_BYTE;
  MPI_Request request = MPI_REQUEST_NULL;
  check(MPI_Iallgather(MPI_IN_PLACE, 0, MPI_DATATYPE_NULL, slots, static_cast<int>(count), type,
                       mpi_.comm, &request),
        "MPI_Iallgather", rank());
  complete(request, "MPI_Iallgather");
}

/// As on every transport, 16-bit floats are summed in float and rounded once.
void MpiTransport::all_reduce(const void* send, void* recv, std::size_t count, DataType type,
                              Reduction reduction, Stream) {
  require_open();
  const std::size_t width = size_of(type);
  const bool exact = reduction == Reduction::max || reduction == Reduction::min;
  const bool wide = width == 2 && !exact;
  if (wide && !wide_) wide_ = std::make_unique_for_overwrite<float[]>(piece);
  for (std::size_t begin = 0; begin < count; begin += piece) {
    const std::size_t part = std::min(piece, count - begin);
    const void* from = static_cast<const std::byte*>(send) + begin * width;
    void* to = static_cast<std::byte*>(recv) + begin * width;
    if (!wide) {
      reduce_piece(from, to, part, type, reduction);
      continue;
    }
    widen(wide_.get(), from, part, type);
    try {
      reduce_piece(wide_.get(), wide_.get(), part, DataType::float32, reduction);
    } catch (...) {
      static_cast<void>(wide_.release());  // MPI may still write to it, for ever
      throw;
    }
    narrow(to, wide_.get(), part, type);
  }
}

void MpiTransport::reduce_piece(const void* send, void* recv, std::size_t count, DataType type,
                                Reduction reduction) {
  const MPI_Op operation = mpi_.operations.get(type, reduction, rank());
  MPI_Request request = MPI_REQUEST_NULL;
  check(MPI_Iallreduce(send == recv ? MPI_IN_PLACE : send, recv, static_cast<int>(count),
                       mpi_type(type), operation, mpi_.comm, &request),
        "MPI_Iallreduce", rank());
  complete(request, "MPI_Iallreduce");
  if (reduction == Reduction::avg) divide(recv, size(), count, type);
}

bool MpiTransport::hear_farewell() {
  int found = 0;
  MPI_Status status;
  check(MPI_Iprobe(MPI_ANY_SOURCE, tag_farewell, mpi_.comm, &found, &status), "MPI_Iprobe", rank());
  if (found == 0) return false;
  check(MPI_Recv(&told_, sizeof(told_), MPI_BYTE, status.MPI_SOURCE, tag_farewell, mpi_.comm,
                 MPI_STATUS_IGNORE),
        "MPI_Recv", rank());
  return true;
}

/// Best effort: who does not hear it has its own timeout.
void MpiTransport::say_farewell(Waited why) noexcept try {
  if (said_farewell_) return;
  said_farewell_ = true;
  mpi_.abandoned = true;  // who gets an unread message must not find it in a later communicator
  const Result reason = why == Waited::aborted ? Result::aborted : Result::timeout;
  auto farewell = std::make_unique<Farewell>(
      why == Waited::told ? told_ : Farewell{static_cast<std::int32_t>(reason), rank()});
  std::vector<MPI_Request> requests(static_cast<std::size_t>(size()), MPI_REQUEST_NULL);
  for (int to = 0; to < size(); ++to) {
    if (to == rank()) continue;
    MPI_Isend(farewell.get(), sizeof(Farewell), MPI_BYTE, to, tag_farewell, mpi_.comm,
              &requests[static_cast<std::size_t>(to)]);
  }
  int sent = 0;
  const Clock::time_point start = Clock::now();
  while (sent == 0 && Clock::now() - start < milliseconds(200)) {
    MPI_Testall(size(), requests.data(), &sent, MPI_STATUSES_IGNORE);
  }
  if (sent == 0) static_cast<void>(farewell.release());  // MPI may still read it, for ever
} catch (...) {
}

}  // namespace

Communicator mpi_communicator(MPI_Comm communicator, const CommunicatorOptions& options) {
  require_mpi();
  return Communicator(std::make_unique<MpiTransport>(communicator, options), options);
}

}  // namespace sparccl
