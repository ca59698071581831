// stage_bench on a CUDA device: the figures, beside the bounds that they are to keep.
#include <cuda_runtime.h>

#include <algorithm>
#include <cstdio>

#include <nlohmann/json.hpp>

#include "backends.hpp"
#include "cuda/cuda_backend.hpp"
#include "cuda_stages.hpp"
#include "cuda_tools.hpp"
#include "judge.hpp"

namespace sparccl::bench {
namespace {

constexpr std::size_t small_count = 1'000'000;

struct Device {
  std::string name;
  int driver = 0, runtime = 0;
};

Device device_here() {
  int devices = 0;
  const cudaError_t code = cudaGetDeviceCount(&devices);
  if (code != cudaSuccess || devices == 0) {
    throw NothingToMeasure(std::string("no CUDA device: ") + cudaGetErrorString(code));
  }
  Device device;
  cudaDeviceProp properties{};
  cuda::check(cudaGetDeviceProperties(&properties, 0));
  device.name = properties.name;
  cuda::check(cudaDriverGetVersion(&device.driver));
  cuda::check(cudaRuntimeGetVersion(&device.runtime));
  return device;
}

/// How often the floor accumulate + select + pack may take; 0: no bound is set.
double produce_bound(const StageRow& row) {
  if (row.data == "spike" || row.data == "equal" || row.data == "zero") return 2.0;
  if (row.density == 0.001) return 1.2;
  if (row.density == 0.01) return 1.35;
  return 0;
}

void judge_row(Judge& judge, const StageRow& row, int ranks) {
  char name[80];
  std::snprintf(name, sizeof name, "%s %g %%: accumulate + select + pack", row.data.c_str(),
                100 * row.density);
  judge.at_most(name, row.produce_to_floor, "x floor", produce_bound(row));
  if (row.density == 0.001 && ranks == 8) {
    std::snprintf(name, sizeof name, "%s %g %%: merge of 8 ranks", row.data.c_str(),
                  100 * row.density);
    judge.at_most(name, row.merge_to_memset, "x memset", 1.25);
  }
}

void print_head(const Device& device, const Settings& s) {
  std::printf("%s, driver %d, CUDA %d\n", device.name.c_str(), device.driver, device.runtime);
  std::printf("n = %zu float32, %d packets, mu %g, medians of %d, milliseconds\n\n", s.count,
              s.world_size, s.mu, s.repeats);
  std::printf("%-9s %8s | %7s %10s %7s %7s %7s %7s %5s | %7s %7s %7s %7s | %7s\n", "data",
              "density", "floor", "accumulate", "select", "pack", "ratio", "cand/k", "fallb",
              "memset", "check", "merge", "ratio", "extra B");
}

void print(const StageRow& r) {
  std::printf(
      "%-9s %7.3f%% | %7.3f %10.3f %7.3f %7.3f %7.3f %7.3f %5llu | %7.3f %7.3f %7.3f %7.3f | "
      "%7.3f\n",
      r.data.c_str(), 100 * r.density, 1.5 * r.copy_ms, r.accumulate_ms, r.select_ms, r.pack_ms,
      r.produce_to_floor, r.candidates_per_k, static_cast<unsigned long long>(r.fallbacks),
      r.memset_ms, r.check_ms, r.merge_ms, r.merge_to_memset, r.extra_bytes);
  std::fflush(stdout);
}

nlohmann::json to_json(const StageRow& r) {
  return {{"data", r.data},
          {"density", r.density},
          {"k", r.k},
          {"copy_ms", r.copy_ms},
          {"floor_ms", 1.5 * r.copy_ms},
          {"accumulate_ms", r.accumulate_ms},
          {"select_ms", r.select_ms},
          {"pack_ms", r.pack_ms},
          {"accumulate_select_pack_ms", r.produce_ms},
          {"ratio_to_floor", r.produce_to_floor},
          {"candidates_per_k", r.candidates_per_k},
          {"fallbacks", r.fallbacks},
          {"memset_ms", r.memset_ms},
          {"check_ms", r.check_ms},
          {"merge_ms", r.merge_ms},
          {"ratio_to_memset", r.merge_to_memset},
          {"extra_bytes_per_entry", r.extra_bytes}};
}

/// Against the gaussian row of the first density.
nlohmann::json compare(const Settings& settings, const std::vector<StageRow>& rows, Judge& judge,
                       cudaStream_t stream) {
  nlohmann::json json = nlohmann::json::array();
  const auto own =
      std::ranges::find_if(rows, [](const StageRow& r) { return r.data == "gaussian"; });
  if (own == rows.end()) return json;
  const auto times = measure_baselines(settings, own->density, stream);
  std::printf("\nadd, |a|, top-k, gather, scatter at %g %%, milliseconds\n", 100 * own->density);
  std::printf("  %-34s %9.3f\n", "accumulate + select + pack", own->produce_ms);
  for (const BaselineTime& time : times) {
    std::printf("  %-34s %9.3f  %6.1f x\n", time.name.c_str(), time.ms, time.ms / own->produce_ms);
    json.push_back(
        {{"name", time.name}, {"ms", time.ms}, {"times_slower", time.ms / own->produce_ms}});
  }
  const auto best = std::ranges::min_element(times, {}, &BaselineTime::ms);
  judge.at_least("faster than the best of the others", best->ms / own->produce_ms, "x", 10);
  return json;
}

}  // namespace

nlohmann::json measure_cuda(const Settings& settings) {
  const Device device = device_here();
  const std::unique_ptr<Backend> backend = make_cuda_backend();
  const cuda::OwnStream stream;
  print_head(device, settings);
  std::vector<StageRow> rows;
  nlohmann::json json_rows = nlohmann::json::array();
  Judge judge;
  for (const std::string& data : settings.data) {
    for (const double density : settings.densities) {
      rows.push_back(measure_stages(*backend, settings, data, density, stream.get()));
      print(rows.back());
      json_rows.push_back(to_json(rows.back()));
      judge_row(judge, rows.back(), settings.world_size);
    }
  }
  const CallTimes call = measure_call(*backend, settings, small_count, stream.get());
  judge.at_most("n = 1e6: whole call besides the exchanges", call.eager_us, "us", 60);
  judge.at_most("the same, replayed as a graph", call.graph_us, "us", 60);
  nlohmann::json baselines = nlohmann::json::array();
  if (settings.baselines) baselines = compare(settings, rows, judge, stream.get());

  std::printf(
      "\nfloor: 12 bytes an entry at the rate of a device-to-device copy of the same run.\n"
      "ratio: (accumulate + select + pack) / floor, and merge / memset of the result.\n"
      "fallb: of %zu steps. extra B: bytes an entry of history, scratch and packets.\n\n",
      static_cast<std::size_t>(settings.repeats) + 5);
  judge.print();
  return {{"device", device.name},
          {"driver", device.driver},
          {"cuda", device.runtime},
          {"count", settings.count},
          {"ranks", settings.world_size},
          {"mu", settings.mu},
          {"repeats", settings.repeats},
          {"rows", json_rows},
          {"call_1e6_us", {{"eager", call.eager_us}, {"graph", call.graph_us}}},
          {"baselines", baselines},
          {"judged", judge.json()}};
}

}  // namespace sparccl::bench
