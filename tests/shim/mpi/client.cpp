// A program that knows nothing of the shim. Two tensors a step and the average of a loss, as a
// trainer has them; what it does besides is its first argument.
//
//   run STEPS [FIRST]    prints a hash of all results; the data are those of the steps from FIRST
//   on returns STEPS        errors are returned: prints the first one, and how long its call took
//   stops STEPS RANK     that rank makes no more calls after so many steps; errors are returned
//   dies STEPS RANK      that rank is killed after so many steps; errors are returned
//   signals STEPS        rank 0 gets SIGUSR2 and the last rank SIGUSR1 after 20 steps
//   unaligned STEPS      buffers begin at any byte
//   moving STEPS         no buffer is used twice
//   orders STEPS         rank 0 begins a nonblocking call before a blocking one on another
//                        communicator and before one is made, rank 1 after it
#include <mpi.h>

#include <chrono>
#include <csignal>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <list>
#include <string>
#include <thread>
#include <vector>

namespace {

using Clock = std::chrono::steady_clock;

struct Buffer {
  Buffer(std::size_t entries, std::size_t offset) : bytes(entries * 8 + 8), at(offset) {}
  char* data() { return bytes.data() + at; }
  std::vector<char> bytes;
  std::size_t at;
};

struct Buffers {
  Buffers(std::size_t entries, std::size_t offset)
      : a(entries, offset), b(entries, offset), sum(entries, offset) {}
  Buffer a, b, sum;
};

std::uint64_t hash(std::uint64_t state, const void* data, std::size_t bytes) {
  const auto* p = static_cast<const unsigned char*>(data);
  for (std::size_t i = 0; i < bytes; ++i) state = (state ^ p[i]) * 1099511628211u;
  return state;
}

/// Exact in float, different on every rank and in every step.
float value(int rank, int step, int i) {
  return static_cast<float>((i * 31 + step * 17 + rank * 7) % 101 - 50);
}

struct Client {
  int rank = 0;
  int size = 1;
  std::uint64_t results = 14695981039346656037u;
  std::uint64_t last = 0;  // of the last step alone
  std::size_t offset = 0;
  bool moving = false;
  std::list<Buffers> buffers;

  /// The first error that MPI returned.
  int step(int number) {
    constexpr int n = 5000;
    if (buffers.empty() || moving) buffers.emplace_back(n, offset);
    auto& [a, b, sum] = buffers.back();
    for (int i = 0; i < n; ++i) {
      const float x = value(rank, number, i);
      const double y = value(rank, number, i + 1);
      std::memcpy(a.data() + 4 * i, &x, 4);
      std::memcpy(b.data() + 8 * i, &y, 8);
    }
    int code = MPI_Allreduce(a.data(), sum.data(), n, MPI_FLOAT, MPI_SUM, MPI_COMM_WORLD);
    if (code != MPI_SUCCESS) return code;
    results = hash(results, sum.data(), 4 * n);
    last = hash(14695981039346656037u, sum.data(), 4 * n);
    code = MPI_Allreduce(MPI_IN_PLACE, b.data(), n, MPI_DOUBLE, MPI_SUM, MPI_COMM_WORLD);
    if (code != MPI_SUCCESS) return code;
    results = hash(results, b.data(), 8 * n);
    last = hash(last, b.data(), 8 * n);
    double loss = 1;
    code = MPI_Allreduce(MPI_IN_PLACE, &loss, 1, MPI_DOUBLE, MPI_SUM, MPI_COMM_WORLD);
    if (loss != size && code == MPI_SUCCESS)
      std::printf("loss: expected %d, found %g\n", size, loss);
    return code;
  }
};

/// Waits for the others' errors to have been printed, then ends all.
[[noreturn]] void wait_and_end() {
  std::this_thread::sleep_for(std::chrono::seconds(4));
  std::_Exit(0);
}

void say_error(int code, double seconds) {
  char text[MPI_MAX_ERROR_STRING] = {};
  int length = 0;
  MPI_Error_string(code, text, &length);
  std::printf("returned after %.1f s: %s\n", seconds, text);
  std::fflush(stdout);
}

/// Legal in MPI, and it must not hang: no rank may wait in its nonblocking call for the others'.
int try_both_orders(const Client& client, int steps) {
  constexpr int n = 3000;
  std::vector<float> a(n), b(n), sum_a(n), sum_b(n);
  MPI_Comm other = MPI_COMM_NULL;
  MPI_Comm_dup(MPI_COMM_WORLD, &other);
  bool exact = true;
  for (int step = 0; step < steps; ++step) {
    for (int i = 0; i < n; ++i) {
      a[static_cast<std::size_t>(i)] = value(client.rank, step, i);
      b[static_cast<std::size_t>(i)] = value(client.rank, step, i + 5);
    }
    MPI_Request request = MPI_REQUEST_NULL;
    MPI_Comm made = MPI_COMM_NULL;
    const auto begin = [&] {
      MPI_Iallreduce(a.data(), sum_a.data(), n, MPI_FLOAT, MPI_SUM, MPI_COMM_WORLD, &request);
    };
    if (client.rank == 0) begin();
    MPI_Comm_dup(other, &made);
    MPI_Allreduce(b.data(), sum_b.data(), n, MPI_FLOAT, MPI_SUM, other);
    if (client.rank != 0) begin();
    MPI_Wait(&request, MPI_STATUS_IGNORE);
    MPI_Comm_free(&made);
    for (int i = 0; i < n; ++i) {
      float x = 0, y = 0;
      for (int rank = 0; rank < client.size; ++rank) {
        x += value(rank, step, i);
        y += value(rank, step, i + 5);
      }
      const auto at = static_cast<std::size_t>(i);
      exact = exact && sum_a[at] == x && sum_b[at] == y;
    }
  }
  std::printf("rank %d: sums are %s\n", client.rank, exact ? "exact" : "wrong");
  MPI_Comm_free(&other);
  MPI_Finalize();
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  MPI_Init(&argc, &argv);
  const std::string mode = argc > 1 ? argv[1] : "run";
  const int steps = argc > 2 ? std::atoi(argv[2]) : 40;
  const int victim = argc > 3 ? std::atoi(argv[3]) : 1;
  Client client;
  MPI_Comm_rank(MPI_COMM_WORLD, &client.rank);
  MPI_Comm_size(MPI_COMM_WORLD, &client.size);
  const bool loses_one = mode == "stops" || mode == "dies";
  if (loses_one || mode == "returns") MPI_Comm_set_errhandler(MPI_COMM_WORLD, MPI_ERRORS_RETURN);
  if (mode == "unaligned") client.offset = 1 + static_cast<std::size_t>(client.rank);

  client.moving = mode == "moving";

  const int first = mode == "run" && argc > 3 ? victim : 0;
  if (mode == "orders") return try_both_orders(client, steps);

  for (int step = 0; loses_one || step < steps; ++step) {
    if (loses_one && step == steps && client.rank == victim) {
      if (mode == "dies") std::raise(SIGKILL);
      wait_and_end();
    }
    if (mode == "signals" && step == 20) {
      if (client.rank == 0) std::raise(SIGUSR2);
      if (client.rank == client.size - 1) std::raise(SIGUSR1);
      std::this_thread::sleep_for(std::chrono::milliseconds(100));
    }
    const Clock::time_point begin = Clock::now();
    const int code = client.step(first + step);
    if (code == MPI_SUCCESS) continue;
    say_error(code, std::chrono::duration<double>(Clock::now() - begin).count());
    if (loses_one) wait_and_end();
    MPI_Finalize();
    return 0;
  }
  std::printf("rank %d: %016llx\n", client.rank, static_cast<unsigned long long>(client.results));
  std::printf("rank %d last: %016llx\n", client.rank, static_cast<unsigned long long>(client.last));
  MPI_Finalize();
  return 0;
}
