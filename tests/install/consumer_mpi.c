/* A user's C program over MPI. */
#include <sparccl/mpi.h>

#include <stdio.h>

int main(int argc, char** argv) {
  MPI_Init(&argc, &argv);
  sparcclComm_t comm = NULL;
  int ranks = 0;
  double sum = 0;
  const double one = 1;
  int failed =
      sparcclCommInitMpi(&comm, MPI_COMM_WORLD, NULL) != sparcclSuccess ||
      sparcclCommCount(comm, &ranks) != sparcclSuccess ||
      sparcclAllReduce(&one, &sum, 1, sparcclFloat64, sparcclSum, comm, NULL) != sparcclSuccess ||
      sum != ranks;
  printf("%d ranks, sum %g %s\n", ranks, sum, failed ? sparcclGetLastError(comm) : "");
  if (comm != NULL && sparcclCommDestroy(comm) != sparcclSuccess) failed = 1;
  MPI_Finalize();
  return failed;
}
