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

int Worker::start(std::function<int()> work, MPI_Request* request) {
  auto task = std::make_unique<Task>();
  task->work = std::move(work);
  const int code = PMPI_Grequest_start(query, release, cancel, task.get(), &task->request);
  if (code != MPI_SUCCESS) return code;
  *request = task->request;
  const std::lock_guard lock(mutex_);
  tasks_.push_back(task.release());
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
    Task* const task = tasks_.front();
    lock.unlock();
    task->code = task->work();
    const MPI_Request request = task->request;
    PMPI_Grequest_complete(request);  // from here on MPI may have freed the task
    lock.lock();
    tasks_.pop_front();
    changed_.notify_all();
  }
}

int Worker::query(void* task, MPI_Status* status) {
  PMPI_Status_set_elements(status, MPI_BYTE, 0);
  PMPI_Status_set_cancelled(status, 0);
  status->MPI_SOURCE = MPI_UNDEFINED;
  status->MPI_TAG = MPI_UNDEFINED;
  return static_cast<const Task*>(task)->code;
}

int Worker::release(void* task) {
  delete static_cast<Task*>(task);
  return MPI_SUCCESS;
}

/// Collectives cannot be cancelled.
int Worker::cancel(void*, int) { return MPI_SUCCESS; }

}  // namespace sparccl::shim::mpi
