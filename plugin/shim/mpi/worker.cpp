#include "shim/mpi/worker.hpp"

#include <signal.h>

#include <utility>

namespace sparccl::shim::mpi {

Worker::~Worker() {
  {
    const std::lock_guard lock(mutex_);
    stop_ = true;
  }
  changed_.notify_all();
  if (thread_.joinable()) thread_.join();
}

/// Signals are the program's: none is to be handled on a thread that it does not know.
void Worker::start_thread() {
  if (thread_.joinable()) return;
  sigset_t all, before;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  try {
    thread_ = std::thread([this] { run(); });
  } catch (...) {
    pthread_sigmask(SIG_SETMASK, &before, nullptr);
    throw;
  }
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
}

int Worker::start(std::function<int()> work, MPI_Comm comm, MPI_Request* request) {
  const std::lock_guard lock(mutex_);
  start_thread();
  Task task{std::move(work), std::make_unique<Promise>()};
  const int code = task.promise->open(comm, request);
  if (code != MPI_SUCCESS) return code;
  tasks_.push_back(std::move(task));
  changed_.notify_all();
  return MPI_SUCCESS;
}

void Worker::finish() {
  std::unique_lock lock(mutex_);
  changed_.wait(lock, [&] { return tasks_.empty(); });
}

void Worker::run() noexcept {
  std::unique_lock lock(mutex_);
  while (true) {
    changed_.wait(lock, [&] { return stop_ || !tasks_.empty(); });
    if (tasks_.empty()) return;
    Task& task = tasks_.front();
    lock.unlock();
    task.promise->keep(task.work());
    lock.lock();
    tasks_.pop_front();
    changed_.notify_all();
  }
}

}  // namespace sparccl::shim::mpi
