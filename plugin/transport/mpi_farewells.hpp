// How ranks tell each other over MPI that they go on no longer.
#pragma once

#include <mpi.h>

#include <atomic>
#include <cstdint>
#include <string>

#include <sparccl/types.hpp>

namespace sparccl {

/// Why a wait ended. told: another rank gave up.
enum class Waited { done, timed_out, aborted, told };

/// What the transport of all ranks and those of its groups share: they end together. Messages
/// travel on the communicator of all ranks, whoever waits where, and name ranks by their numbers
/// there. Used by the thread of the calls, but for `aborted`.
class MpiFarewells {
 public:
  /// comm: of all ranks; outlives this object.
  MpiFarewells(MPI_Comm comm, int rank, int size) : comm_(comm), rank_(rank), size_(size) {}

  [[nodiscard]] int rank() const noexcept { return rank_; }

  /// Whether another rank has given up. Told once.
  [[nodiscard]] bool hear();

  /// Tells all ranks that this one makes no further calls. Best effort: who does not hear it has
  /// its own timeout. Whoever was told passes on what it was told, so that all name the same cause.
  void say(Waited why) noexcept;

  /// Of the rank that gave up first, as this one was told: "rank 3 aborted its communicator".
  [[nodiscard]] std::string first() const { return "rank " + std::to_string(told_.rank); }
  [[nodiscard]] bool first_aborted() const noexcept {
    return told_.reason == static_cast<std::int32_t>(Result::aborted);
  }

  std::atomic<bool> aborted = false;
  /// A call was given up, or a message may be unread: MPI may still hold requests, so that none of
  /// the communicators is ever freed.
  bool abandoned = false;
  bool gave_up = false;  // no further calls

 private:
  struct Farewell {
    std::int32_t reason;  // Result::timeout or Result::aborted
    std::int32_t rank;    // who was the first
  };

  static constexpr int tag = 2;

  const MPI_Comm comm_;
  const int rank_;
  const int size_;
  bool said_ = false;
  Farewell told_{};
};

}  // namespace sparccl
