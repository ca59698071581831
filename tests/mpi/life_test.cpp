// Before MPI_Init and after MPI_Finalize: an error before MPI is touched, and no crash at the end.
#include <mpi.h>

#include <cstdio>
#include <cstdlib>
#include <memory>

#include <sparccl/mpi.h>
#include <sparccl/mpi.hpp>

#include "leaks.h"

namespace {

void expect(bool condition, const char* what) {
  if (condition) return;
  std::fprintf(stderr, "not true: %s\n", what);
  std::exit(EXIT_FAILURE);
}

void expect_refused(const char* when) {
  sparcclComm_t comm = nullptr;
  expect(sparcclCommInitMpi(&comm, MPI_COMM_WORLD, nullptr) == sparcclInvalidUsage, when);
  try {
    static_cast<void>(sparccl::mpi_communicator(MPI_COMM_WORLD));
    expect(false, when);
  } catch (const sparccl::Error& error) {
    expect(error.code() == sparccl::Result::invalid_usage, when);
  }
}

}  // namespace

int main(int argc, char** argv) {
  expect_refused("refused before MPI_Init");
  init_mpi(&argc, &argv);
  auto late = std::make_unique<sparccl::Communicator>(sparccl::mpi_communicator(MPI_COMM_WORLD));
  float x = 1;
  late->all_reduce(&x, &x, 1, sparccl::DataType::float32, sparccl::Reduction::max);
  expect(x == 1, "a maximum of ones");
  finalize_mpi();

  expect_refused("refused after MPI_Finalize");
  try {
    late->all_reduce(&x, &x, 1, sparccl::DataType::float32, sparccl::Reduction::max);
    expect(false, "a call after MPI_Finalize throws");
  } catch (const sparccl::Error& error) {
    expect(error.code() == sparccl::Result::invalid_usage, "its code is invalid usage");
  }
  late.reset();  // too late, but no crash
  return EXIT_SUCCESS;
}
