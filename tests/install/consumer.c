/* A user's C program: one rank, everything sent. */
#include <sparccl/sparccl.h>

#include <stdio.h>

int main(void) {
  int version = 0;
  if (sparcclGetVersion(&version) != sparcclSuccess || version != SPARCCL_VERSION_CODE) {
    printf("header %d, library %d\n", SPARCCL_VERSION_CODE, version);
    return 1;
  }
  sparcclConfig_t config = SPARCCL_CONFIG_INITIALIZER;
  config.density = 1.0;
  sparcclComm_t comm = NULL;
  if (sparcclCommInitAll(&comm, 1, &config) != sparcclSuccess) {
    printf("sparcclCommInitAll: %s\n", sparcclGetLastError(NULL));
    return 1;
  }
  const float gradient[4] = {1, -2, 0, 4};
  float result[4] = {9, 9, 9, 9};
  if (sparcclAllReduce(gradient, result, 4, sparcclFloat32, sparcclSum, comm, NULL) !=
      sparcclSuccess) {
    printf("sparcclAllReduce: %s\n", sparcclGetLastError(comm));
    return 1;
  }
  for (int i = 0; i < 4; ++i) {
    if (result[i] != gradient[i]) {
      printf("entry %d: expected %g, found %g\n", i, (double)gradient[i], (double)result[i]);
      return 1;
    }
  }
  if (sparcclCommDestroy(comm) != sparcclSuccess) return 1;
  printf("sparccl %d from C\n", version);
  return 0;
}
