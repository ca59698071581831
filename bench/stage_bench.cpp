// Times each stage of a step against what memory allows, on a host (host_bench.cpp) or on a CUDA
// device (cuda_bench.cpp).
#include <cstdio>
#include <exception>
#include <fstream>
#include <stdexcept>

#include <nlohmann/json.hpp>

#include "backends.hpp"

int main(int argc, char** argv) {
  using namespace sparccl::bench;
  int status = 0;
  const std::optional<Settings> settings = parse(argc, argv, status);
  if (!settings) return status;
  try {
    const nlohmann::json report =
        settings->backend == "cuda" ? measure_cuda(*settings) : measure_host(*settings);
    if (!settings->json.empty()) {
      std::ofstream file(settings->json);
      file << report.dump(2) << '\n';
      if (!file) throw std::runtime_error("cannot write " + settings->json);
    }
  } catch (const NothingToMeasure& nothing) {
    std::printf("nothing was measured: %s\n", nothing.what());
    return 77;
  } catch (const std::exception& error) {
    std::fprintf(stderr, "stage_bench: %s\n", error.what());
    return 1;
  }
  return 0;
}
