// sparccl_perf: sparse allreduces timed against dense ones, in the manner of nccl-tests. Exit
// codes: 0, 1 (a wrong entry, a failure, something not measured), 2 (asked for what cannot be).
#include <exception>

#include "device.hpp"
#include "failures.hpp"
#include "measure.hpp"
#include "settings.hpp"

namespace sparccl::perf {
namespace {

int run(int argc, char** argv) {
  const std::optional<Settings> settings = parse(argc, argv);
  if (!settings) return 0;
  if (settings->backend == "cuda") {
    require_gpus(settings->thread_count(), settings->transport != "nccl");
  }
  const Body body = [&](Ranks& ranks) { return measure_all(ranks, *settings); };
  if (settings->transport == "mpi") return run_mpi(body);
  if (settings->transport == "nccl") return run_nccl(settings->thread_count(), body);
  return run_threads(settings->thread_count(), body);
}

}  // namespace
}  // namespace sparccl::perf

int main(int argc, char** argv) {
  using namespace sparccl::perf;
  try {
    return run(argc, argv);
  } catch (...) {
    const int rank = launched().rank;
    return rank == 0 ? status_of_exception(0) : 2;  // before the ranks: all fail alike
  }
}
