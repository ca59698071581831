/* sparccl/mpi.h from C. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <sparccl/mpi.h>

#include "leaks.h"

enum { count = 1000 };

static void expect(int true_, const char* what, int line) {
  if (true_) return;
  fprintf(stderr, "line %d: not true: %s (last error: %s)\n", line, what,
          sparcclGetLastError(NULL));
  MPI_Abort(MPI_COMM_WORLD, EXIT_FAILURE);
}
#define EXPECT(x) expect((x), #x, __LINE__)

static void bad_input(void) {
  sparcclComm_t comm = NULL;
  sparcclConfig_t config = SPARCCL_CONFIG_INITIALIZER;
  config.magic = 1;
  EXPECT(sparcclCommInitMpi(NULL, MPI_COMM_WORLD, NULL) == sparcclInvalidArgument);
  EXPECT(sparcclCommInitMpi(&comm, MPI_COMM_NULL, NULL) == sparcclInvalidArgument);
  EXPECT(sparcclCommInitMpi(&comm, MPI_COMM_WORLD, &config) == sparcclInvalidArgument);
  EXPECT(strstr(sparcclGetLastError(NULL), "config.magic: expected ") != NULL);
  EXPECT(comm == NULL);
}

static void all_reduce(sparcclComm_t comm, int rank, int size) {
  static float gradient[count];
  static float result[count];
  for (int i = 0; i < count; ++i) gradient[i] = i == 3 * rank ? 50.0f : 0.0f;
  EXPECT(sparcclAllReduce(gradient, result, count, sparcclFloat32, sparcclSum, comm, NULL) ==
         sparcclSuccess);
  for (int i = 0; i < count; ++i) {
    EXPECT(result[i] == (i % 3 == 0 && i / 3 < size ? 50.0f : 0.0f));
  }
  int64_t largest = rank;
  EXPECT(sparcclAllReduce(&largest, &largest, 1, sparcclInt64, sparcclMax, comm, NULL) ==
         sparcclSuccess);
  EXPECT(largest == size - 1);
}

int main(int argc, char** argv) {
  init_mpi(&argc, &argv);
  int rank = -1;
  int size = -1;
  MPI_Comm_rank(MPI_COMM_WORLD, &rank);
  MPI_Comm_size(MPI_COMM_WORLD, &size);
  bad_input();

  sparcclConfig_t config = SPARCCL_CONFIG_INITIALIZER;
  config.k = 1;
  config.timeoutMs = 20000;
  sparcclComm_t comm = NULL;
  EXPECT(sparcclCommInitMpi(&comm, MPI_COMM_WORLD, &config) == sparcclSuccess);
  int number = -1;
  EXPECT(sparcclCommUserRank(comm, &number) == sparcclSuccess && number == rank);
  EXPECT(sparcclCommCount(comm, &number) == sparcclSuccess && number == size);
  all_reduce(comm, rank, size);
  EXPECT(sparcclCommDestroy(comm) == sparcclSuccess);
  EXPECT(sparcclCommDestroy(comm) == sparcclInvalidUsage);
  finalize_mpi();
  return EXIT_SUCCESS;
}
