// A program that knows nothing of the shim: ordinary NCCL, two ranks that are threads. Four tensors
// a step, as a trainer has them, and three that nobody may touch. What it does besides is its
// argument:
//
//   run STEPS     prints hashes of both kinds of results, and the most entries of one that were not
//   zero exits STEPS   the same, and does not destroy its communicators drain         gradients for
//   20 steps, then none until all has arrived: prints the sums' hash kinds STEPS   only calls that
//   are left alone: in groups, in captures, of one rank life STEPS    the same steps on a
//   communicator, a split, and one made anew after an abort stops STEPS   rank 1 stops: prints what
//   rank 0 is told by its call and by its watchdog moves STEPS   each call on another stream than
//   the last one hidden STEPS  a handle is used again without the shim having seen the end of the
//   first one idle          communicators, and no allreduce
#include <cuda_runtime.h>
#include <nccl.h>

#include <chrono>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <string>
#include <thread>
#include <vector>

#include "rank.hpp"

namespace {

using namespace client;

void life(Rank& rank, int steps, ncclUniqueId next, int self) {
  const ncclComm_t first = rank.comm;
  for (int step = 0; step < steps; ++step) rank.step(step);
  check(ncclCommSplit(first, 0, 0, &rank.comm, nullptr));
  for (int step = 0; step < steps; ++step) rank.step(step);
  check(ncclCommDestroy(rank.comm));
  check(ncclCommAbort(first));
  check(ncclCommInitRank(&rank.comm, ranks, next, self));
  for (int step = 0; step < steps; ++step) rank.step(step);
  check(ncclCommFinalize(rank.comm));
}

/// As a trainer with a watchdog does.
void stops(Rank& rank, int self, int steps) {
  for (int step = 0; step < steps; ++step) rank.step(step);
  if (self == 1) {
    std::this_thread::sleep_for(std::chrono::milliseconds(3000));
  } else {
    ncclResult_t told = ncclSuccess;
    std::string call = "nothing";
    for (int step = 0; told == ncclSuccess && step < 100; ++step) {
      try {
        rank.step(step);
      } catch (const std::exception& error) {
        call = error.what();
      }
      check(ncclCommGetAsyncError(rank.comm, &told));
      std::this_thread::sleep_for(std::chrono::milliseconds(20));
    }
    std::printf("call: %s; watchdog: %s\n", call.c_str(), ncclGetErrorString(told));
    std::printf("again: %s\n",
                ncclGetErrorString(ncclAllReduce(nullptr, nullptr, 5, ncclInt32, ncclSum, rank.comm,
                                                 rank.stream())));
    int size = 0;
    std::printf("count: %s\n", ncclGetErrorString(ncclCommCount(rank.comm, &size)));
    std::printf("finalize: %s\n", ncclGetErrorString(ncclCommFinalize(rank.comm)));
  }
  check(ncclCommAbort(rank.comm));
}

void lonely(Rank& rank, int self) {
  if (self == 1) {
    std::this_thread::sleep_for(std::chrono::milliseconds(1000));
  } else {
    for (int call = 0; call < 2; ++call) {
      try {
        static_cast<void>(rank.reduce(others[1], 0));
      } catch (const std::exception& error) {
        std::printf("call: %s\n", error.what());
      }
    }
  }
  check(ncclCommAbort(rank.comm));
}

void run(Rank& rank, const std::string& mode, int begin, int end) {
  for (int step = begin; step < end; ++step) {
    if (mode == "kinds") {
      rank.grouped(gradients[0], step);
      rank.captured(gradients[0]);
      rank.alone(step);
      continue;
    }
    if (mode == "simulates") rank.simulated(gradients[0]);
    if (mode == "parts" && step == end / 2) rank.forget_hashes();
    if (mode == "signals" && step == end / 2) {
      std::raise(SIGUSR2);
      std::this_thread::sleep_for(std::chrono::milliseconds(200));
    }
    rank.step(step);
  }
}

void work(const std::string& mode, int self, int steps, ncclUniqueId id, ncclUniqueId next) {
  if (mode == "nothing") return;
  Rank rank(self, id);
  if (mode == "idle") return;
  if (mode == "lonely") return lonely(rank, self);
  if (mode == "stops") return stops(rank, self, steps);
  if (mode == "drain") {
    rank.drain();
  } else if (mode == "moves") {
    rank.move(steps);
  } else if (mode == "life") {
    life(rank, steps, next, self);
  } else {
    const bool second = mode == "second";
    run(rank, mode == "signals" && self == 1 ? "run" : mode, second ? steps / 2 : 0,
        mode == "first" ? steps / 2 : steps);
  }
  if (mode == "hidden") {
    check(pncclCommDestroy(rank.comm));
    check(ncclCommInitRank(&rank.comm, ranks, next, self));
    for (int step = 0; step < steps; ++step) rank.step(step);
  }
  if (mode == "wrong" && self == 0) {
    const auto [count, type, op] = gradients[0];
    const ncclResult_t code = ncclAllReduce(rank.buffer() + 1, rank.buffer() + 1, count, type, op,
                                            rank.comm, rank.stream());
    std::printf("call: %s\n", ncclGetErrorString(code));
  }
  if (mode == "short" && self == 0) rank.enqueue(gradients[0], steps, rank.buffer(), rank.stream());
  if (mode == "pinned") rank.reduce_on_host(gradients[0]);
  if (mode != "exits") check(ncclCommDestroy(rank.comm));
  rank.print();
}

}  // namespace

extern "C" [[gnu::visibility("default")]] int client_main(int argc, char** argv) {
  const std::string mode = argc > 1 ? argv[1] : "";
  const int steps = argc > 2 ? std::atoi(argv[2]) : 0;
  ncclUniqueId id, next;
  check(ncclGetUniqueId(&id));
  check(ncclGetUniqueId(&next));
  std::vector<std::thread> threads;
  for (int rank = 0; rank < ranks; ++rank) {
    threads.emplace_back([&, rank] {
      try {
        work(mode, rank, steps, id, next);
      } catch (const std::exception& error) {
        std::printf("rank %d failed: %s\n", rank, error.what());
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  return 0;
}
