/* Every function of sparccl.h, called from C by ranks that are threads. */
#include <math.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <sparccl/sparccl.h>

enum { ranks = 3, count = 4096, steps = 5 };

static sparcclComm_t comms[ranks];
static const char* folder;

static void expect(int true_, const char* what, int line) {
  if (true_) return;
  fprintf(stderr, "line %d: not true: %s (last error: %s)\n", line, what,
          sparcclGetLastError(NULL));
  exit(EXIT_FAILURE);
}
#define EXPECT(x) expect((x), #x, __LINE__)

static void succeed(sparcclResult_t result, const char* what, int line) {
  if (result == sparcclSuccess) return;
  fprintf(stderr, "line %d: %s: %s: %s\n", line, what, sparcclGetErrorString(result),
          sparcclGetLastError(NULL));
  exit(EXIT_FAILURE);
}
#define SUCCEED(call) succeed((call), #call, __LINE__)

static void fill(float* gradient, int rank, int step) {
  for (int i = 0; i < count; ++i) {
    gradient[i] = sinf((float)(i * (rank + 1) + 131 * step)) + (i == 17 ? 100.0f : 0.0f);
  }
}

/* Ranks must agree on how many calls they make, so every rank does the same. */
static void explicit_tensor(sparcclComm_t comm, int rank) {
  sparcclConfig_t config = SPARCCL_CONFIG_INITIALIZER;
  config.k = 40;
  sparcclTensor_t tensor = NULL;
  SUCCEED(sparcclTensorCreate(comm, "fc1.weight", count, sparcclFloat32, &config, &tensor));

  float* gradient = malloc(count * sizeof(float));
  float* result = malloc(count * sizeof(float));
  float* again = malloc(count * sizeof(float));
  EXPECT(gradient != NULL && result != NULL && again != NULL);
  for (int step = 0; step < steps; ++step) {
    fill(gradient, rank, step);
    SUCCEED(sparcclTensorAllReduce(tensor, gradient, result, sparcclAvg, 2.0, NULL));
    int sent = 0;
    for (int i = 0; i < count; ++i) sent += result[i] != 0.0f;
    EXPECT(sent >= 1 && sent <= ranks * 40);
    EXPECT(result[17] != 0.0f); /* the spike of every rank */
  }

  sparcclStats_t stats = SPARCCL_STATS_INITIALIZER;
  SUCCEED(sparcclTensorGetStats(tensor, &stats));
  sparcclPath_t way = sparcclPathAuto;
  char reason[6];
  SUCCEED(sparcclTensorGetPath(tensor, &way, reason, sizeof(reason)));
  EXPECT(way == sparcclPathAllgather && strcmp(reason, "asked") == 0);
  SUCCEED(sparcclTensorSetPath(tensor, sparcclPathSplit));
  SUCCEED(sparcclTensorGetPath(tensor, &way, NULL, 0));
  EXPECT(way == sparcclPathSplit);
  SUCCEED(sparcclTensorSetPath(tensor, sparcclPathAllgather));
  EXPECT(stats.steps == steps && stats.entries == steps * 40 && stats.nonFiniteSteps == 0);
  EXPECT(stats.wireBytes == steps * (ranks - 1) * stats.packetBytes && stats.packetBytes > 40 * 6);
  EXPECT(stats.denseBytes == steps * (2 * (ranks - 1) * (count * sizeof(float)) / ranks));

  char path[512];
  snprintf(path, sizeof(path), "%s/c_api_smoke.%d.state", folder, rank);
  SUCCEED(sparcclTensorSave(tensor, path));
  fill(gradient, rank, steps);
  SUCCEED(sparcclTensorAllReduce(tensor, gradient, result, sparcclSum, 1.0, NULL));
  SUCCEED(sparcclTensorLoad(tensor, path));
  SUCCEED(sparcclTensorAllReduce(tensor, gradient, again, sparcclSum, 1.0, NULL));
  EXPECT(memcmp(result, again, count * sizeof(float)) == 0);
  EXPECT(remove(path) == 0);

  SUCCEED(sparcclTensorSetDensity(tensor, 1.0));
  SUCCEED(sparcclTensorSetMu(tensor, 0.5));
  SUCCEED(sparcclTensorAllReduce(tensor, gradient, gradient, sparcclSum, 1.0, NULL));
  SUCCEED(sparcclTensorAllReduce(tensor, gradient, result, sparcclMax, 1.0, NULL)); /* dense */
  EXPECT(memcmp(result, gradient, count * sizeof(float)) == 0); /* all ranks had the same */

  SUCCEED(sparcclTensorDestroy(tensor));
  free(again);
  free(result);
  free(gradient);
}

static void implicit_tensors(sparcclComm_t comm, int rank) {
  float* gradient = malloc(count * sizeof(float));
  float* result = malloc(count * sizeof(float));
  EXPECT(gradient != NULL && result != NULL);
  for (int step = 0; step < steps; ++step) {
    fill(gradient, rank, step);
    SUCCEED(sparcclAllReduce(gradient, result, count, sparcclFloat32, sparcclSum, comm, NULL));
    EXPECT(result[17] != 0.0f);
  }
  int64_t votes[2] = {rank, 10 - rank};
  SUCCEED(sparcclAllReduce(votes, votes, 2, sparcclInt64, sparcclMax, comm, NULL));
  EXPECT(votes[0] == ranks - 1 && votes[1] == 10);
  SUCCEED(sparcclAllReduce(NULL, NULL, 0, sparcclFloat32, sparcclSum, comm, NULL));
  free(result);
  free(gradient);
}

static void* run(void* argument) {
  const int expected_rank = *(int*)argument;
  sparcclComm_t comm = comms[expected_rank];
  int rank = -1;
  int size = -1;
  SUCCEED(sparcclCommUserRank(comm, &rank));
  SUCCEED(sparcclCommCount(comm, &size));
  EXPECT(rank == expected_rank && size == ranks);

  explicit_tensor(comm, rank);
  implicit_tensors(comm, rank);

  sparcclResult_t state = sparcclInternalError;
  SUCCEED(sparcclCommGetAsyncError(comm, &state));
  EXPECT(state == sparcclSuccess);
  return NULL;
}

static void abort_and_destroy(void) {
  float x = 0;
  sparcclResult_t state = sparcclSuccess;
  SUCCEED(sparcclCommAbort(comms[0]));
  SUCCEED(sparcclCommGetAsyncError(comms[0], &state));
  EXPECT(state == sparcclAborted);
  EXPECT(sparcclAllReduce(&x, &x, 1, sparcclFloat32, sparcclSum, comms[0], NULL) == sparcclAborted);
  EXPECT(strlen(sparcclGetLastError(comms[0])) > 0);
  for (int i = 0; i < ranks; ++i) SUCCEED(sparcclCommDestroy(comms[i]));
  EXPECT(sparcclCommDestroy(comms[0]) == sparcclInvalidUsage);
}

int main(int argc, char** argv) {
  folder = argc > 1 ? argv[1] : ".";
  int version = 0;
  SUCCEED(sparcclGetVersion(&version));
  EXPECT(version == SPARCCL_VERSION_CODE);
  EXPECT(strcmp(sparcclGetLastError(NULL), "") == 0);

  sparcclConfig_t config = SPARCCL_CONFIG_INITIALIZER;
  config.density = 0.01;
  config.timeoutMs = 60000;
  SUCCEED(sparcclCommInitAll(comms, ranks, &config));

  pthread_t threads[ranks];
  int numbers[ranks];
  for (int i = 0; i < ranks; ++i) {
    numbers[i] = i;
    EXPECT(pthread_create(&threads[i], NULL, run, &numbers[i]) == 0);
  }
  for (int i = 0; i < ranks; ++i) EXPECT(pthread_join(threads[i], NULL) == 0);
  abort_and_destroy();
  puts("every function of sparccl.h works from C");
  return EXIT_SUCCESS;
}
