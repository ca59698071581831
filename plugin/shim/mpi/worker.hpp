// Nonblocking calls: carried out in order by a thread, behind requests that MPI knows.
#pragma once

#include <mpi.h>

#include <condition_variable>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <thread>

#include "shim/mpi/promise.hpp"

namespace sparccl::shim::mpi {

/// Of one communicator. Needs MPI_THREAD_MULTIPLE.
class Worker {
 public:
  Worker() = default;
  ~Worker();
  Worker(const Worker&) = delete;
  Worker& operator=(const Worker&) = delete;

  /// work: returns a code of MPI's, which MPI_Wait and its kin return, as far as promise.hpp has
  /// it. comm: whose error handler they call. Returns MPI's own code. Throws where no
  /// thread can be had.
  [[nodiscard]] int start(std::function<int()> work, MPI_Comm comm, MPI_Request* request);

  /// Waits until nothing is under way.
  void finish();

 private:
  struct Task {
    std::function<int()> work;
    std::unique_ptr<Promise> promise;
  };
  void start_thread();
  void run() noexcept;

  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<Task> tasks_;  // the first is under way
  bool stop_ = false;
  std::thread thread_;
};

}  // namespace sparccl::shim::mpi
