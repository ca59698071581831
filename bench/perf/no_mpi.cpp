// In place of mpi.cpp, in builds without MPI.
#include "build.hpp"
#include "failures.hpp"
#include "ranks.hpp"

namespace sparccl::perf {
namespace build {
const bool has_mpi = false;
const char* const how_to_get_mpi =
    "--transport mpi: this sparccl_perf was built without MPI; install one (libopenmpi-dev or "
    "libmpich-dev) and run cmake again, or use --transport local";
}  // namespace build

int run_mpi(const Body&) { throw UsageError(build::how_to_get_mpi); }

}  // namespace sparccl::perf
