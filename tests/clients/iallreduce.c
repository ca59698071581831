/* Nonblocking allreduces in the orders that MPI allows and that a layer below them may take for a
 * deadlock. Knows nothing of sparccl; sums are of small integers and must be exact.
 * usage: iallreduce init|single|funneled|serialized|multiple */
#include <mpi.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { steps = 40, outstanding = 5, most = 70000 };
static const int counts[outstanding] = {1500, 4096, most, 3, 1024};

static int rank, ranks;

/* What every MPI function returns counts: the default error handler may be replaced by any layer.
 */
static void check(int code, const char* what) {
  if (code == MPI_SUCCESS) return;
  fprintf(stderr, "iallreduce: rank %d: %s failed with %d\n", rank, what, code);
  MPI_Abort(MPI_COMM_WORLD, 1);
}

static int term(int step, int of_rank, int i) { return (step * 5 + of_rank * 3 + i) % 17 - 8; }

/* A tensor, its sum, and who takes part: every stride-th rank from first. */
typedef struct {
  MPI_Datatype type;
  int count, first, stride;
  void *own, *sum;
} Tensor;

static Tensor tensor(MPI_Datatype type, int count) {
  Tensor t = {type, count, 0, 1, calloc((size_t)count, 8), calloc((size_t)count, 8)};
  if (t.own == NULL || t.sum == NULL) exit(1);
  return t;
}

static void release(Tensor* t) {
  free(t->own);
  free(t->sum);
}

static double at(const Tensor* t, const void* values, int i) {
  if (t->type == MPI_INT) return ((const int*)values)[i];
  return t->type == MPI_FLOAT ? (double)((const float*)values)[i] : ((const double*)values)[i];
}

static void fill(Tensor* t, int step) {
  for (int i = 0; i < t->count; ++i) {
    const int value = term(step, rank, i);
    if (t->type == MPI_INT)
      ((int*)t->own)[i] = value;
    else if (t->type == MPI_FLOAT)
      ((float*)t->own)[i] = (float)value;
    else
      ((double*)t->own)[i] = value;
  }
  memset(t->sum, 0xff, (size_t)t->count * (t->type == MPI_DOUBLE ? 8 : 4));
}

static void require(const Tensor* t, int step, const char* pattern) {
  for (int i = 0; i < t->count; ++i) {
    int expected = 0;
    for (int r = t->first; r < ranks; r += t->stride) expected += term(step, r, i);
    if (at(t, t->sum, i) == expected) continue;
    fprintf(stderr, "iallreduce: rank %d, step %d, %s: expected %d at %d of %d, found %g\n", rank,
            step, pattern, expected, i, t->count, at(t, t->sum, i));
    MPI_Abort(MPI_COMM_WORLD, 1);
  }
}

static void start(Tensor* t, int step, MPI_Comm comm, MPI_Request* request) {
  fill(t, step);
  check(MPI_Iallreduce(t->own, t->sum, t->count, t->type, MPI_SUM, comm, request),
        "MPI_Iallreduce");
}

static void blocking(Tensor* t, int step, MPI_Comm comm) {
  fill(t, step);
  check(MPI_Allreduce(t->own, t->sum, t->count, t->type, MPI_SUM, comm), "MPI_Allreduce");
}

/* The others join only after rank 0 has gone on from its MPI_Iallreduce. */
static void send_between(Tensor* t, int step) {
  MPI_Request request;
  int token = step;
  if (rank == 0) {
    start(t, step, MPI_COMM_WORLD, &request);
    for (int r = 1; r < ranks; ++r) {
      check(MPI_Send(&token, 1, MPI_INT, r, 7, MPI_COMM_WORLD), "MPI_Send");
    }
  } else {
    check(MPI_Recv(&token, 1, MPI_INT, 0, 7, MPI_COMM_WORLD, MPI_STATUS_IGNORE), "MPI_Recv");
    start(t, step, MPI_COMM_WORLD, &request);
  }
  check(MPI_Wait(&request, MPI_STATUS_IGNORE), "MPI_Wait");
  require(t, step, "a send between");
}

/* Waited for otherwise than started, on each rank and in each step in another way. */
static void wait_for(MPI_Request* requests, int way) {
  MPI_Request reversed[outstanding];
  MPI_Status statuses[outstanding];
  int index = 0, done = 0, indices[outstanding];
  switch (way) {
    case 0:
      for (int i = 0; i < outstanding; ++i) reversed[i] = requests[outstanding - 1 - i];
      check(MPI_Waitall(outstanding, reversed, statuses), "MPI_Waitall");
      break;
    case 1:
      for (int i = 0; i < outstanding; ++i) {
        check(MPI_Waitany(outstanding, requests, &index, MPI_STATUS_IGNORE), "MPI_Waitany");
      }
      break;
    case 2:
      while (!done) check(MPI_Testall(outstanding, requests, &done, statuses), "MPI_Testall");
      break;
    case 3:
      for (int left = outstanding; left > 0; left -= done) {
        check(MPI_Waitsome(outstanding, requests, &done, indices, statuses), "MPI_Waitsome");
      }
      break;
    case 4: /* asked for without being freed, then waited for from the last */
      while (!done) {
        check(MPI_Request_get_status(requests[2], &done, MPI_STATUS_IGNORE),
              "MPI_Request_get_status");
      }
      for (int i = outstanding; i-- > 0;) check(MPI_Wait(&requests[i], statuses), "MPI_Wait");
      break;
    default:
      for (int left = outstanding; left > 0; left -= done) {
        check(MPI_Testany(outstanding, requests, &index, &done, MPI_STATUS_IGNORE), "MPI_Testany");
      }
  }
}

static void many(Tensor* tensors, int step) {
  MPI_Request requests[outstanding];
  for (int i = 0; i < outstanding; ++i) start(&tensors[i], step, MPI_COMM_WORLD, &requests[i]);
  wait_for(requests, (step + rank) % 6);
  for (int i = 0; i < outstanding; ++i) require(&tensors[i], step, "several outstanding");
}

/* In place, a blocking one on the same communicator before it is waited for, and a maximum. */
static void mixed(Tensor* t, Tensor* other, int step) {
  MPI_Request request, maximum;
  int highest = -1;
  fill(t, step);
  memcpy(t->sum, t->own, (size_t)t->count * (t->type == MPI_DOUBLE ? 8 : 4));
  check(MPI_Iallreduce(MPI_IN_PLACE, t->sum, t->count, t->type, MPI_SUM, MPI_COMM_WORLD, &request),
        "MPI_Iallreduce");
  check(MPI_Iallreduce(&rank, &highest, 1, MPI_INT, MPI_MAX, MPI_COMM_WORLD, &maximum),
        "MPI_Iallreduce of a maximum");
  blocking(other, step, MPI_COMM_WORLD);
  require(other, step, "blocking while another is outstanding");
  check(MPI_Wait(&maximum, MPI_STATUS_IGNORE), "MPI_Wait");
  check(MPI_Wait(&request, MPI_STATUS_IGNORE), "MPI_Wait");
  require(t, step, "outstanding while another blocks");
  if (highest != ranks - 1) check(MPI_ERR_OTHER, "a maximum");
}

/* On communicators of their own the order may differ between ranks. The last has every other rank.
 */
static void several_communicators(const MPI_Comm comms[3], Tensor* tensors, int step) {
  MPI_Request requests[3];
  MPI_Status statuses[3];
  for (int i = 0; i < 3; ++i) {
    const int which = rank % 2 == 0 ? i : 2 - i;
    start(&tensors[which], step, comms[which], &requests[which]);
  }
  check(MPI_Waitall(3, requests, statuses), "MPI_Waitall");
  for (int i = 0; i < 3; ++i) require(&tensors[i], step, "several communicators");
}

/* Made, used and freed within a step; the other kind of request may be freed while it is active. */
static void short_lived(Tensor* t, int step) {
  MPI_Comm comm;
  MPI_Request requests[3];
  MPI_Status statuses[3];
  int token = step, received = -1;
  check(MPI_Comm_dup(MPI_COMM_WORLD, &comm), "MPI_Comm_dup");
  check(MPI_Irecv(&received, 1, MPI_INT, (rank + ranks - 1) % ranks, 8, comm, &requests[0]),
        "MPI_Irecv");
  check(MPI_Isend(&token, 1, MPI_INT, (rank + 1) % ranks, 8, comm, &requests[1]), "MPI_Isend");
  check(MPI_Request_free(&requests[1]), "MPI_Request_free");
  start(t, step, comm, &requests[2]);
  check(MPI_Waitall(3, requests, statuses), "MPI_Waitall");
  check(MPI_Comm_free(&comm), "MPI_Comm_free");
  require(t, step, "a communicator for one step");
  if (received != step) check(MPI_ERR_OTHER, "a message beside it");
}

typedef struct {
  MPI_Comm comm;
  Tensor* tensor;
} Job;

static void* run_job(void* argument) {
  Job* const job = argument;
  for (int step = 0; step < steps; ++step) {
    MPI_Request request;
    if (step % 2 == 0) {
      blocking(job->tensor, step, job->comm);
    } else {
      start(job->tensor, step, job->comm, &request);
      check(MPI_Wait(&request, MPI_STATUS_IGNORE), "MPI_Wait");
    }
    require(job->tensor, step, "two threads");
  }
  return NULL;
}

static void two_threads(const MPI_Comm comms[2], Tensor* tensors) {
  Job jobs[2] = {{comms[0], &tensors[0]}, {comms[1], &tensors[1]}};
  pthread_t other;
  if (pthread_create(&other, NULL, run_job, &jobs[1]) != 0) exit(1);
  run_job(&jobs[0]);
  pthread_join(other, NULL);
}

static int begin(int argc, char** argv) {
  static const char* const names[] = {"single", "funneled", "serialized", "multiple"};
  const int levels[] = {MPI_THREAD_SINGLE, MPI_THREAD_FUNNELED, MPI_THREAD_SERIALIZED,
                        MPI_THREAD_MULTIPLE};
  int provided = MPI_THREAD_SINGLE;
  if (argc == 2 && strcmp(argv[1], "init") == 0) {
    check(MPI_Init(&argc, &argv), "MPI_Init");
    return provided;
  }
  for (int i = 0; i < 4; ++i) {
    if (argc != 2 || strcmp(argv[1], names[i]) != 0) continue;
    check(MPI_Init_thread(&argc, &argv, levels[i], &provided), "MPI_Init_thread");
    if (provided < levels[i]) printf("iallreduce: this MPI does not provide %s\n", names[i]);
    return provided < levels[i] ? provided : levels[i];
  }
  fprintf(stderr, "usage: iallreduce init|single|funneled|serialized|multiple\n");
  exit(2);
}

int main(int argc, char** argv) {
  const int level = begin(argc, argv);
  check(MPI_Comm_rank(MPI_COMM_WORLD, &rank), "MPI_Comm_rank");
  check(MPI_Comm_size(MPI_COMM_WORLD, &ranks), "MPI_Comm_size");
  MPI_Comm comms[3];
  check(MPI_Comm_dup(MPI_COMM_WORLD, &comms[0]), "MPI_Comm_dup");
  check(MPI_Comm_dup(MPI_COMM_WORLD, &comms[1]), "MPI_Comm_dup");
  check(MPI_Comm_split(MPI_COMM_WORLD, rank % 2, rank, &comms[2]), "MPI_Comm_split");

  Tensor lone = tensor(MPI_FLOAT, 2000),
         pair[2] = {tensor(MPI_DOUBLE, 3000), tensor(MPI_FLOAT, 1030)};
  Tensor several[outstanding],
      apart[3] = {tensor(MPI_FLOAT, 5000), tensor(MPI_DOUBLE, 2500), tensor(MPI_FLOAT, 4000)};
  for (int i = 0; i < outstanding; ++i) {
    several[i] = tensor(i == 4 ? MPI_INT : i % 2 == 0 ? MPI_FLOAT : MPI_DOUBLE, counts[i]);
  }
  apart[2].first = rank % 2;
  apart[2].stride = 2;

  for (int step = 0; step < steps; ++step) {
    send_between(&lone, step);
    many(several, step);
    mixed(&pair[0], &pair[1], step);
    several_communicators(comms, apart, step);
    short_lived(&lone, step);
  }
  if (level == MPI_THREAD_MULTIPLE) two_threads(comms, apart);

  release(&lone);
  for (int i = 0; i < 2; ++i) release(&pair[i]);
  for (int i = 0; i < outstanding; ++i) release(&several[i]);
  for (int i = 0; i < 3; ++i) release(&apart[i]);
  for (int i = 0; i < 3; ++i) check(MPI_Comm_free(&comms[i]), "MPI_Comm_free");
  if (rank == 0) printf("iallreduce: all sums of %d steps are exact\n", steps);
  check(MPI_Finalize(), "MPI_Finalize");
  return 0;
}
