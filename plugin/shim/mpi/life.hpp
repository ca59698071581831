// From MPI_Init to MPI_Finalize.
#pragma once

namespace sparccl::shim::mpi {

/// MPI_Init and MPI_Init_thread, with MPI_THREAD_MULTIPLE asked for: nonblocking calls are carried
/// out by a thread. Then the processes greet each other.
[[nodiscard]] int init(int* argc, char*** argv);
[[nodiscard]] int init_thread(int* argc, char*** argv, int required, int* provided);

/// Where MPI was initialised by a way that is not seen: at the first call.
void begin_if_initialized();

/// Ends what is left, saves, prints the table of rank 0.
void before_finalize() noexcept;

/// Rank 0's table where the job ends some other way; why: "which ...". Once.
void last_words(const char* why) noexcept;

}  // namespace sparccl::shim::mpi
