#include <exception>
#include <thread>
#include <vector>

#include "plan_ranks.hpp"

namespace sparccl::bench {

void on_threads(int ranks, bool cuda, const CommunicatorOptions& options, const OnRank& work) {
  const std::vector<Communicator> hosts = Communicator::local(ranks, options);
  std::vector<std::exception_ptr> failures(hosts.size());
  std::vector<std::thread> threads;
  for (std::size_t rank = 0; rank < hosts.size(); ++rank) {
    threads.emplace_back([&, rank] {
      try {
        work(cuda ? on_device(hosts[rank]) : hosts[rank]);
      } catch (...) {
        failures[rank] = std::current_exception();
        Communicator(hosts[rank]).abort();  // the others would wait for this one
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  for (const std::exception_ptr& failure : failures) {
    if (failure != nullptr) std::rethrow_exception(failure);
  }
}

}  // namespace sparccl::bench
