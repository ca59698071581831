// A user's C++ program over MPI.
#include <sparccl/mpi.hpp>

#include <cstdio>
#include <exception>
#include <vector>

int main(int argc, char** argv) {
  MPI_Init(&argc, &argv);
  int failures = 0;
  try {
    sparccl::Communicator self = sparccl::mpi_communicator(MPI_COMM_WORLD);
    const std::vector<float> gradient(1000, 1.5f);
    std::vector<float> result(1000);
    sparccl::Options options;
    options.density = 1;
    sparccl::SparseAllreduce layer(self, "layer", 1000, sparccl::DataType::float32, options);
    layer(gradient.data(), result.data());
    for (const float x : result) failures += x != 1.5f * static_cast<float>(self.size());
    std::printf("rank %d of %d: %d wrong entries\n", self.rank(), self.size(), failures);
  } catch (const std::exception& error) {
    std::printf("%s\n", error.what());
    failures = 1;
  }
  MPI_Finalize();
  return failures != 0;
}
