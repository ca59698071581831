// Open MPI and MPICH have the same functions and other handles: the shim of one before a program of
// the other would crash.
#pragma once

namespace sparccl::shim::mpi {

/// Ends the process with exit code 2 and a sentence if the program has loaded the other MPI.
void require_own_family();

/// Which MPI this shim is for, and what the libraries of the other are called; one file each.
struct Family {
  const char* name;
  const char* other;
  const char* const* others_libraries;  // up to null
};
[[nodiscard]] const Family& family() noexcept;

}  // namespace sparccl::shim::mpi
