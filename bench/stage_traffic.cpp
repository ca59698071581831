// What each kernel reads, writes and does atomically, counted by the stand-in for CUDA
// (tests/simt), beside the bounds that a GPU is to keep. Bytes, not times: a lower bound of what a
// GPU moves, since it knows nothing of sectors, caches and the latency of an atomic.
//
// usage: stage_traffic [-n COUNT] [-d DENSITY]... [...]    as stage_bench; data: gaussian, feedback
// Fails if accumulate + select + pack move, or merge writes, more bytes than the bound in time
// allows, or if the fused pass does more than one atomic a tile. Small tensors do: n = 4e6 is
// enough.
#include <cstdio>
#include <exception>
#include <stdexcept>

#include "../tests/simt/simt.hpp"
#include "cuda/cuda_backend.hpp"
#include "cuda/workspace.hpp"
#include "host_data.hpp"
#include "judge.hpp"
#include "plan.hpp"
#include "settings.hpp"
#include "tensor.hpp"

namespace {

using namespace sparccl::bench;
using sparccl::Backend;

/// Memory of the backend that holds these numbers.
Backend::Buffer device_copy(Backend& backend, const float* values, std::size_t count) {
  Backend::Buffer buffer = backend.allocate(count * sizeof(float));
  backend.upload(buffer.get(), values, count * sizeof(float));
  return buffer;
}

/// Of one stage, an entry.
struct Bytes {
  double read = 0, written = 0;
  [[nodiscard]] double total() const { return read + written; }
};

double tiles_of(std::size_t count) {
  return static_cast<double>(count) / static_cast<double>(sparccl::cuda::tile_size);
}

/// Prints the kernels that ran since the last call; returns what they moved.
Bytes print_kernels(const char* stage, std::size_t count) {
  const double n = static_cast<double>(count);
  Bytes total;
  for (const auto& [kernel, t] : simt::all_traffic()) {
    const double read = static_cast<double>(t.loaded_bytes) / n;
    const double written = static_cast<double>(t.stored_bytes) / n;
    std::printf("  %-11s %-24s %8llu %9.4f %9.4f %12.4f\n", stage, kernel.c_str(),
                static_cast<unsigned long long>(t.launches), read, written,
                static_cast<double>(t.atomics) / tiles_of(count));
    total.read += read;
    total.written += written;
  }
  simt::reset_traffic();
  return total;
}

void measure(Backend& backend, const Settings& settings, const std::string& data, double density,
             Judge& judge) {
  const sparccl::Plan plan =
      sparccl::make_plan("traffic", settings.count, sparccl::DataType::float32,
                         {.density = density, .mu = settings.mu}, {0, settings.world_size});
  const bool feedback = data == "feedback";
  Tensor tensor(backend, plan);
  const Backend::Buffer result = backend.allocate(plan.count * sizeof(float));
  auto* const out = static_cast<float*>(result.get());
  const auto produce = [&](const float* host, int rank) {
    const Backend::Buffer gradient = device_copy(backend, host, plan.count);
    tensor.accumulate(static_cast<const float*>(gradient.get()));
    tensor.select();
    tensor.pack(rank);
    backend.finish(nullptr);
  };
  for (int rank = 1; rank < plan.world_size; ++rank) {
    tensor.zero_residual();
    produce(Gradients(plan.count, feedback, static_cast<std::uint64_t>(rank))[0], rank);
  }
  tensor.zero_residual();
  const Gradients gradients(plan.count, feedback, 100);
  for (std::size_t step = 0; step < 2; ++step) {  // so that there is a history
    produce(gradients[step], 0);
    tensor.renew_packets();
    tensor.check();
    tensor.merge(out);
  }
  tensor.require_sum();

  std::printf("%s, density %g %%\n", data.c_str(), 100 * density);
  const Backend::Buffer gradient = device_copy(backend, gradients[2], plan.count);
  simt::reset_traffic();
  tensor.accumulate(static_cast<const float*>(gradient.get()));
  backend.finish(nullptr);
  const double atomics = static_cast<double>(simt::traffic("accumulate").atomics);
  double produced = print_kernels("accumulate", plan.count).total();
  tensor.select();
  backend.finish(nullptr);
  produced += print_kernels("select", plan.count).total();
  tensor.pack();
  backend.finish(nullptr);
  produced += print_kernels("pack", plan.count).total();
  tensor.renew_packets();
  simt::reset_traffic();
  tensor.check();
  tensor.restore();
  backend.finish(nullptr);
  print_kernels("check", plan.count);
  tensor.merge(out);
  backend.finish(nullptr);
  const Bytes merged = print_kernels("merge", plan.count);
  tensor.require_sum();
  std::printf("  fallbacks %llu\n", static_cast<unsigned long long>(tensor.counts().fallbacks));

  const std::string name = data + (density == 0.001 ? " 0.1 %" : density == 0.01 ? " 1 %" : "");
  judge.at_most(name + ": accumulate + select + pack", produced, "bytes an entry",
                density == 0.001  ? 1.2 * 12
                : density == 0.01 ? 1.35 * 12
                                  : 0);
  judge.at_most(name + ": the fused pass", atomics / tiles_of(plan.count), "atomics a tile", 1.01);
  judge.at_most(name + ": merge writes", merged.written, "bytes an entry",
                density == 0.001 && plan.world_size == 8 ? 1.25 * 4 : 0);
}

}  // namespace

int main(int argc, char** argv) {
  int status = 0;
  std::optional<Settings> settings = parse(argc, argv, status, {.count = 4'000'000, .ranks = 8});
  if (!settings) return status;
  try {
    for (const std::string& data : settings->data) {
      if (data == "gaussian" || data == "feedback") continue;
      throw std::runtime_error("--data: expected gaussian or feedback, found " + data +
                               ", which only stage_bench --backend cuda has");
    }
    const std::unique_ptr<Backend> backend = sparccl::make_cuda_backend();
    std::printf("n = %zu float32, %d packets, mu %g; tiles of %zu entries\n\n", settings->count,
                settings->world_size, settings->mu, sparccl::cuda::tile_size);
    std::printf("  %-11s %-24s %8s %9s %9s %12s\n", "stage", "kernel", "launches", "read B/n",
                "written", "atomics/tile");
    Judge judge;
    for (const std::string& data : settings->data) {
      for (const double density : settings->densities) {
        measure(*backend, *settings, data, density, judge);
      }
    }
    std::printf("\nfloor: 12 bytes an entry for accumulate + select + pack, 4 for merge\n");
    judge.print();
    return judge.all_met() ? 0 : 1;
  } catch (const std::exception& error) {
    std::fprintf(stderr, "stage_traffic: %s\n", error.what());
    return 2;
  }
}
