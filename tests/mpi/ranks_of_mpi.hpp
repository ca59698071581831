// What the tests on MPI ranks share.
#pragma once

#include <gtest/gtest.h>
#include <mpi.h>

#include <functional>
#include <string>

#include <sparccl/mpi.hpp>

namespace sparccl::test {

/// A rank that does not come is an error after 20 s, not a test that hangs.
inline Communicator world(std::uint64_t timeout_ms = 20'000) {
  return mpi_communicator(MPI_COMM_WORLD, {.timeout_ms = timeout_ms});
}

/// By other means than those under test.
inline void barrier() { MPI_Barrier(MPI_COMM_WORLD); }

struct Outcome {
  Result code = Result::success;
  std::string what;

  [[nodiscard]] bool mentions(const std::string& part) const {
    return what.find(part) != std::string::npos;
  }
};

inline std::ostream& operator<<(std::ostream& out, const Outcome& outcome) {
  return out << sparccl::name_of(outcome.code) << ": " << outcome.what;
}

inline Outcome outcome(const std::function<void()>& call) {
  try {
    call();
  } catch (const Error& error) {
    return {error.code(), error.what()};
  }
  return {};
}

}  // namespace sparccl::test
