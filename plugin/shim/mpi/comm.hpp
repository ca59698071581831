// A communicator of the program's, from its first allreduce to its end.
#pragma once

#include <mpi.h>

#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "shim/call.hpp"
#include "shim/mpi/calls.hpp"
#include "shim/mpi/worker.hpp"
#include "shim/session.hpp"

namespace sparccl::shim::mpi {

class Comm {
 public:
  /// Made at the first call. Lives as an attribute of the communicator, so that a handle that is
  /// used again is another one.
  [[nodiscard]] static Comm& of(MPI_Comm comm);

  /// Before MPI_Comm_free or MPI_Comm_disconnect: collective, as those are.
  static void end(MPI_Comm comm) noexcept;
  /// Before MPI_Finalize.
  static void end_all() noexcept;

  /// Counts the call, and says whether it is none of ours. nonblocking: it is to be MPI_Iallreduce.
  struct Admission {
    std::optional<Reason> refused;
    Request request;
  };
  [[nodiscard]] Admission admit(const Arguments& arguments, bool nonblocking);
  /// Counts a call that was refused, or that reduce() gave back. Thread-safe.
  void pass(Reason reason, const Arguments& arguments, const Request& request) const noexcept;

  /// Of a call that was admitted: carries it out, or says why MPI is to. Throws Error.
  std::optional<Reason> reduce(const Request& request);

  /// The same by the worker, MPI's own way included. Returns a code of MPI's.
  [[nodiscard]] int start(const Arguments& arguments, const Request& made, MPI_Request* request);

  ~Comm();
  Comm(const Comm&) = delete;
  Comm& operator=(const Comm&) = delete;

 private:
  explicit Comm(MPI_Comm comm);

  [[nodiscard]] Session& session();
  void make_session();
  [[nodiscard]] bool is_world() const noexcept { return comm_ == MPI_COMM_WORLD; }
  [[nodiscard]] std::optional<Reason> refuses(const Request& request, bool nonblocking) const;
  std::optional<Reason> carry_out(const Request& request);
  [[nodiscard]] int dense(const Arguments& arguments) const noexcept;
  [[nodiscard]] int work(const Arguments& arguments, const Request& request) noexcept;

  MPI_Comm comm_;
  std::string label_;
  std::string state_stem_;
  int size_ = 1;
  bool intercomm_ = false;
  bool may_thread_ = false;
  std::uint64_t calls_ = 0;

  bool met_ = false;  // in a blocking call: its communicator has been made, or not in vain tried
  MPI_Comm duplicate_ = MPI_COMM_NULL;
  std::unique_ptr<Session> session_;
  std::optional<Error> failed_;  // why there is no session
  Worker worker_;
};

}  // namespace sparccl::shim::mpi
