// Nonblocking calls: carried out in order by a thread, behind requests of MPI's own kind.
#pragma once

#include <mpi.h>

#include <condition_variable>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <thread>

namespace sparccl::shim::mpi {

/// Of one communicator. Needs MPI_THREAD_MULTIPLE.
class Worker {
 public:
  Worker() = default;
  ~Worker();
  Worker(const Worker&) = delete;
  Worker& operator=(const Worker&) = delete;

  /// work: returns a code of MPI's, which MPI_Wait and its kin return. Returns MPI's own code.
  [[nodiscard]] int start(std::function<int()> work, MPI_Request* request);

  /// Waits until nothing is under way.
  void finish();

 private:
  struct Task {
    std::function<int()> work;
    MPI_Request request = MPI_REQUEST_NULL;
    int code = MPI_SUCCESS;
  };
  static int query(void* task, MPI_Status* status);
  static int release(void* task);
  static int cancel(void* task, int complete);
  void run() noexcept;

  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<Task*> tasks_;  // the first is under way; freed by MPI, by release()
  bool stop_ = false;
  std::thread thread_;
};

}  // namespace sparccl::shim::mpi
