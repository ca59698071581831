// The stages on one thread against what memory allows: a plain e[i] += g[i] over the same data for
// accumulate + select + pack, a plain zero-fill for merge. Everything in one run, the two sides of
// each ratio in turn, medians of the ratios.
#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <cstring>
#include <functional>

#include <nlohmann/json.hpp>

#include "backends.hpp"
#include "host_data.hpp"
#include "plan.hpp"
#include "tensor.hpp"

namespace sparccl::bench {
namespace {

using Clock = std::chrono::steady_clock;

double milliseconds(auto&& work) {
  const auto start = Clock::now();
  work();
  return std::chrono::duration<double, std::milli>(Clock::now() - start).count();
}

double plain_pass(std::vector<float>& e, const float* g) {
  return milliseconds([&] {
    float* to = e.data();
    for (std::size_t i = 0, n = e.size(); i < n; ++i) to[i] += g[i];
  });
}

struct StepTimes {
  double accumulate = 0, select = 0, pack = 0;
  [[nodiscard]] double total() const { return accumulate + select + pack; }
};

StepTimes produce(Tensor& tensor, const float* gradient, int rank = 0) {
  StepTimes t;
  t.accumulate = milliseconds([&] { tensor.accumulate(gradient); });
  t.select = milliseconds([&] { tensor.select(); });
  t.pack = milliseconds([&] { tensor.pack(rank); });
  return t;
}

struct MergeTimes {
  double check = 0, merge = 0;
};

MergeTimes consume(Tensor& tensor, float* result) {
  tensor.renew_packets();
  MergeTimes t;
  t.check = milliseconds([&] { tensor.check(); });
  tensor.require_sum();
  t.merge = milliseconds([&] {
    tensor.restore();
    tensor.merge(result);
  });
  return t;
}

struct Row {
  std::string data;
  double density = 0;
  std::size_t k = 0;
  double plain_ms = 0, accumulate_ms = 0, select_ms = 0, pack_ms = 0, ratio = 0;
  double candidates_per_k = 0;
  std::uint64_t fallbacks = 0;
  double zero_fill_ms = 0, check_ms = 0, merge_ms = 0, merge_ratio = 0;
  double extra_bytes = 0;
};

Row measure(Backend& backend, const Settings& settings, const std::string& data, double density) {
  const bool feedback = data == "feedback";
  const Plan plan = make_plan("bench", settings.count, DataType::float32,
                              {.density = density, .mu = settings.mu}, {0, settings.world_size});
  Row row{.data = data, .density = density, .k = plan.k};
  Tensor tensor(backend, plan);
  std::vector<float> plain(settings.count), result(settings.count);
  for (int rank = 1; rank < settings.world_size; ++rank) {  // the peers' packets
    const Gradients gradients(settings.count, feedback, static_cast<std::uint64_t>(rank));
    tensor.zero_residual();
    produce(tensor, gradients[0], rank);
  }
  const Gradients gradients(settings.count, feedback, 100);
  const Gradients other(feedback ? 2 : settings.count, false, 101);
  tensor.zero_residual();
  std::size_t t = 0;
  for (int i = 0; i < (feedback ? settings.feedback_steps : 1); ++i) {
    produce(tensor, gradients[t++]);
    consume(tensor, result.data());
  }
  std::vector<double> plain_ms, accumulate_ms, select_ms, pack_ms, ratio;
  std::vector<double> fill_ms, check_ms, merge_ms, merge_ratio;
  for (int i = 0; i < settings.repeats; ++i) {
    const float* g = gradients[t++];
    if (!feedback) std::memcpy(tensor.residual(), other[t], plain.size() * sizeof(float));
    std::memcpy(plain.data(), tensor.residual(), plain.size() * sizeof(float));
    const double one = plain_pass(plain, g);
    const StepTimes two = produce(tensor, g);
    row.candidates_per_k =
        static_cast<double>(tensor.counts().candidates) / static_cast<double>(plan.k);
    row.fallbacks += tensor.counts().fallbacks;
    plain_ms.push_back(one);
    accumulate_ms.push_back(two.accumulate);
    select_ms.push_back(two.select);
    pack_ms.push_back(two.pack);
    ratio.push_back(two.total() / one);

    const double fill = milliseconds([&] { std::fill(result.begin(), result.end(), 0.0f); });
    const MergeTimes three = consume(tensor, result.data());
    fill_ms.push_back(fill);
    check_ms.push_back(three.check);
    merge_ms.push_back(three.merge);
    merge_ratio.push_back((three.check + three.merge) / fill);
  }
  row.plain_ms = median(plain_ms);
  row.accumulate_ms = median(accumulate_ms);
  row.select_ms = median(select_ms);
  row.pack_ms = median(pack_ms);
  row.ratio = median(ratio);
  row.zero_fill_ms = median(fill_ms);
  row.check_ms = median(check_ms);
  row.merge_ms = median(merge_ms);
  row.merge_ratio = median(merge_ratio);
  row.extra_bytes = tensor.extra_bytes_per_entry();
  return row;
}

/// What users write first: the threshold of all |a|, in milliseconds.
struct Baselines {
  double nth_element_ms = 0, sort_ms = 0;
};
Baselines measure_baselines(const Settings& settings) {
  std::vector<float> magnitudes(settings.count);
  fill_gaussian(magnitudes, 5);
  for (float& m : magnitudes) m = std::fabs(m);
  const auto k = static_cast<std::ptrdiff_t>(static_cast<double>(settings.count) * 0.001);
  std::vector<float> copy = magnitudes;
  Baselines b;
  b.nth_element_ms = milliseconds(
      [&] { std::nth_element(copy.begin(), copy.begin() + k, copy.end(), std::greater<>()); });
  copy = magnitudes;
  b.sort_ms = milliseconds([&] { std::sort(copy.begin(), copy.end(), std::greater<>()); });
  return b;
}

nlohmann::json to_json(const Row& r) {
  return {{"data", r.data},
          {"density", r.density},
          {"k", r.k},
          {"plain_pass_ms", r.plain_ms},
          {"accumulate_ms", r.accumulate_ms},
          {"select_ms", r.select_ms},
          {"pack_ms", r.pack_ms},
          {"ratio_to_plain_pass", r.ratio},
          {"candidates_per_k", r.candidates_per_k},
          {"fallbacks", r.fallbacks},
          {"zero_fill_ms", r.zero_fill_ms},
          {"check_ms", r.check_ms},
          {"merge_ms", r.merge_ms},
          {"ratio_to_zero_fill", r.merge_ratio},
          {"extra_bytes_per_entry", r.extra_bytes}};
}

void print(const Row& r) {
  std::printf(
      "%-9s %7.3f%% | %8.2f %10.2f %7.2f %6.2f %7.3f %7.3f %5llu | %9.2f %6.2f %7.2f %7.3f | "
      "%7.3f\n",
      r.data.c_str(), 100 * r.density, r.plain_ms, r.accumulate_ms, r.select_ms, r.pack_ms, r.ratio,
      r.candidates_per_k, static_cast<unsigned long long>(r.fallbacks), r.zero_fill_ms, r.check_ms,
      r.merge_ms, r.merge_ratio, r.extra_bytes);
  std::fflush(stdout);
}

}  // namespace

nlohmann::json measure_host(const Settings& settings) {
  for (const std::string& data : settings.data) {
    if (data != "gaussian" && data != "feedback") {
      throw std::runtime_error("--data " + data + " needs --backend cuda");
    }
  }
  const std::unique_ptr<Backend> backend = make_host_backend();
  std::printf("n = %zu float32, %d packets, mu %g, medians of %d, milliseconds\n\n", settings.count,
              settings.world_size, settings.mu, settings.repeats);
  std::printf("%-9s %8s | %8s %10s %7s %6s %7s %7s %5s | %9s %6s %7s %7s | %7s\n", "data",
              "density", "e += g", "accumulate", "select", "pack", "ratio", "cand/k", "fallb",
              "zero-fill", "check", "merge", "ratio", "extra B");
  nlohmann::json rows = nlohmann::json::array();
  for (const std::string& data : settings.data) {
    for (const double density : settings.densities) {
      const Row row = measure(*backend, settings, data, density);
      print(row);
      rows.push_back(to_json(row));
    }
  }
  nlohmann::json report = {{"count", settings.count},
                           {"ranks", settings.world_size},
                           {"mu", settings.mu},
                           {"repeats", settings.repeats},
                           {"rows", rows}};
  if (settings.baselines) {
    const Baselines b = measure_baselines(settings);
    std::printf("\nthe k-th of all |a| at 0.1 %%: std::nth_element %.0f ms, std::sort %.0f ms\n",
                b.nth_element_ms, b.sort_ms);
    report["nth_element_ms"] = b.nth_element_ms;
    report["sort_ms"] = b.sort_ms;
  }
  std::printf(
      "\nratio: (accumulate + select + pack) / (e += g), and (check + merge) / zero-fill.\n"
      "extra B: bytes an entry of history, scratch and packets, besides the residual.\n");
  return report;
}

}  // namespace sparccl::bench
