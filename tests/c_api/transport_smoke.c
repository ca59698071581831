/* transport.h from C: one rank, whose gathering is easy. */
#include <stdio.h>
#include <stdlib.h>

#include <sparccl/transport.h>

static int all_gather(void* context, void* slots, size_t bytesPerRank) {
  (void)slots;
  (void)bytesPerRank;
  ++*(int*)context;
  return 0;
}

static void expect(int true_, const char* what, int line) {
  if (true_) return;
  fprintf(stderr, "line %d: not true: %s (last error: %s)\n", line, what,
          sparcclGetLastError(NULL));
  exit(EXIT_FAILURE);
}
#define EXPECT(x) expect((x), #x, __LINE__)

int main(void) {
  int calls = 0;
  sparcclTransport_t transport = SPARCCL_TRANSPORT_INITIALIZER;
  transport.nranks = 1;
  transport.context = &calls;
  transport.allGather = all_gather;
  sparcclComm_t comm = NULL;
  EXPECT(sparcclCommInitTransport(&comm, &transport, NULL) == sparcclSuccess);

  float gradient[4] = {1, -9, 3, 2};
  float result[4] = {7, 7, 7, 7};
  EXPECT(sparcclAllReduce(gradient, result, 4, sparcclFloat32, sparcclSum, comm, NULL) ==
         sparcclSuccess);
  EXPECT(result[0] == 0 && result[1] == -9 && result[2] == 0 && result[3] == 0);
  EXPECT(calls == 2);
  EXPECT(sparcclCommDestroy(comm) == sparcclSuccess);
  puts("transport.h works from C");
  return EXIT_SUCCESS;
}
