// In builds without MPI, a process that no other started is a rank of its own.
#include "ranks/world.hpp"

namespace mnist {

int run_job(const Body& body) { return run_threads(1, body); }

}  // namespace mnist
