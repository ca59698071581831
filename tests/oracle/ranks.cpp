#include "ranks.hpp"

#include <condition_variable>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <mutex>
#include <stdexcept>
#include <thread>

namespace sparccl::test {

void run_ranks(int ranks, const std::function<void(int)>& f, const std::function<void()>& release,
               std::chrono::seconds limit) {
  std::mutex mutex;
  std::condition_variable changed;
  std::exception_ptr first;
  int running = ranks;
  std::vector<std::thread> threads;
  for (int rank = 0; rank < ranks; ++rank) {
    threads.emplace_back([&, rank] {
      std::exception_ptr thrown;
      try {
        f(rank);
      } catch (...) {
        thrown = std::current_exception();
      }
      const std::lock_guard lock(mutex);
      if (thrown != nullptr && first == nullptr) first = thrown;
      --running;
      changed.notify_all();
    });
  }
  {
    std::unique_lock lock(mutex);
    const auto all_done = [&] { return running == 0; };
    changed.wait_for(lock, limit, [&] { return running == 0 || first != nullptr; });
    if (running != 0) {
      if (first == nullptr) first = std::make_exception_ptr(std::runtime_error("a rank hangs"));
      lock.unlock();
      release();
      lock.lock();
      if (!changed.wait_for(lock, limit, all_done)) {
        std::fputs("ranks still hang after they were released\n", stderr);
        std::_Exit(EXIT_FAILURE);
      }
    }
  }
  for (std::thread& thread : threads) thread.join();
  if (first != nullptr) std::rethrow_exception(first);
}

void on_each(std::vector<Communicator>& ranks, const std::function<void(Communicator&)>& f,
             std::chrono::seconds limit) {
  run_ranks(
      static_cast<int>(ranks.size()), [&](int rank) { f(ranks[static_cast<std::size_t>(rank)]); },
      [&] {
        for (Communicator& rank : ranks) rank.abort();
      },
      limit);
}

void on_local_ranks(int ranks, const std::function<void(Communicator&)>& f) {
  std::vector<Communicator> communicators = Communicator::local(ranks);
  on_each(communicators, f);
}

}  // namespace sparccl::test
