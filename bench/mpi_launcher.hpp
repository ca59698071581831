// Whether a process was started by the launcher of another MPI than it was built with.
#pragma once

#include <mpi.h>

#include <cstdlib>
#include <string>

namespace sparccl::bench {

/// After MPI_Init. Each of the processes is then a world of its own, and would measure alone. Empty
/// where nothing is wrong, else what to say.
inline std::string wrong_launcher() {
  int size = 0;
  MPI_Comm_size(MPI_COMM_WORLD, &size);
  if (size > 1) return {};
  for (const char* variable : {"OMPI_COMM_WORLD_SIZE", "PMI_SIZE"}) {
    const char* const started = std::getenv(variable);
    if (started == nullptr || std::atoi(started) < 2) continue;
    char version[MPI_MAX_LIBRARY_VERSION_STRING] = {};
    int length = 0;
    MPI_Get_library_version(version, &length);
    const std::string text(version);
    return "started as one of " + std::string(started) + " processes, which " +
           text.substr(0, text.find_first_of(",\n")) +
           " that this was built with does not see: the launcher is another MPI's; take its own "
           "(mpirun.openmpi, mpiexec.mpich)";
  }
  return {};
}

/// Of the job that a launcher started, whichever MPI's.
inline bool is_first_of_job() {
  for (const char* variable : {"OMPI_COMM_WORLD_RANK", "PMI_RANK", "PMIX_RANK"}) {
    if (const char* const rank = std::getenv(variable)) return std::atoi(rank) == 0;
  }
  return true;
}

}  // namespace sparccl::bench
