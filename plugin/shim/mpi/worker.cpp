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

int Worker::start(std::function<int()> work, MPI_Comm comm, MPI_Request* request) {
  Task task{std::move(work), std::make_unique<Promise>()};
  const int code = task.promise->open(comm, request);
  if (code != MPI_SUCCESS) return code;
  const std::lock_guard lock(mutex_);
  tasks_.push_back(std::move(task));
  if (!thread_.joinable()) {
    // Signals are the program's: none is to be handled on a thread that it does not know.
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    thread_ = std::thread([this] { run(); });
    pthread_sigmask(SIG_SETMASK, &before, nullptr);
  }
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
