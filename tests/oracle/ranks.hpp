// Ranks as threads, with a watchdog: a hang fails the test instead of stalling the run.
#pragma once

#include <chrono>
#include <functional>
#include <vector>

#include <sparccl/sparccl.hpp>

namespace sparccl::test {

inline constexpr std::chrono::seconds patience{120};

/// Runs f(rank) on `ranks` threads and rethrows the exception that was thrown first. `release` is
/// called once when a rank throws or when `limit` has passed: it must free whoever waits. If that
/// does not help, the process ends.
void run_ranks(int ranks, const std::function<void(int)>& f, const std::function<void()>& release,
               std::chrono::seconds limit = patience);

/// Runs f(communicator) on one thread per communicator; a rank that throws aborts all of them.
void on_each(std::vector<Communicator>& ranks, const std::function<void(Communicator&)>& f,
             std::chrono::seconds limit = patience);

/// on_each over a new local group.
void on_local_ranks(int ranks, const std::function<void(Communicator&)>& f);

}  // namespace sparccl::test
