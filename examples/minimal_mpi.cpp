// The same with MPI: mpirun -n 4 minimal_mpi

#include <mpi.h>

#include <sparccl/mpi.hpp>
#include <sparccl/sparccl.hpp>

#include <cmath>
#include <cstdio>
#include <vector>

int main(int argc, char** argv) {
  MPI_Init(&argc, &argv);
  {  // handles end before MPI does
    constexpr std::size_t n = 1'000'000;
    const sparccl::Communicator comm = sparccl::mpi_communicator(MPI_COMM_WORLD);
    sparccl::SparseAllreduce average(comm, "weights", n, sparccl::DataType::float32,
                                     {.density = 0.001, .reduction = sparccl::Reduction::avg});
    std::vector<float> gradient(n);
    for (std::size_t i = 0; i < n; ++i) {
      gradient[i] = std::sin(static_cast<float>(i) + static_cast<float>(comm.rank()));
    }
    average(gradient.data(), gradient.data());
    const sparccl::Stats stats = average.stats();
    if (comm.rank() == 0) {
      std::printf("%d ranks: %llu of %zu entries, %llu bytes instead of %llu\n", comm.size(),
                  static_cast<unsigned long long>(stats.last_entries), n,
                  static_cast<unsigned long long>(stats.wire_bytes),
                  static_cast<unsigned long long>(stats.dense_bytes));
    }
  }
  MPI_Finalize();
}
