// Four ranks, threads of this process, average a gradient and send 0.1 % of it.

#include <sparccl/sparccl.hpp>

#include <cmath>
#include <cstdio>
#include <thread>
#include <vector>

int main() {
  constexpr std::size_t n = 1'000'000;
  std::vector<sparccl::Communicator> ranks = sparccl::Communicator::local(4);
  std::vector<std::jthread> threads;
  for (const sparccl::Communicator& comm : ranks) {
    threads.emplace_back([&comm] {
      sparccl::SparseAllreduce average(comm, "weights", n, sparccl::DataType::float32,
                                       {.density = 0.001, .reduction = sparccl::Reduction::avg});
      std::vector<float> gradient(n);
      for (int step = 0; step < 10; ++step) {
        for (std::size_t i = 0; i < n; ++i) {  // stands for a backward pass
          gradient[i] = std::sin(static_cast<float>(i) + static_cast<float>(comm.rank()));
        }
        average(gradient.data(), gradient.data());  // instead of ncclAllReduce or MPI_Allreduce
      }
      const sparccl::Stats stats = average.stats();
      if (comm.rank() != 0) return;
      std::printf("%.0f of %zu entries a step, %.0f bytes instead of %.0f\n",
                  static_cast<double>(stats.entries) / 10, n,
                  static_cast<double>(stats.wire_bytes) / 10,
                  static_cast<double>(stats.dense_bytes) / 10);
    });
  }
}
