// Times each stage of a step on one thread against what memory allows: a plain e[i] += g[i] over
// the same data for accumulate + select + pack, a plain zero-fill for merge. Everything in one run,
// the two sides of each ratio in turn, medians of the ratios.
#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <fstream>
#include <random>
#include <string>
#include <vector>

#include <CLI/CLI.hpp>
#include <nlohmann/json.hpp>

#include "plan.hpp"
#include "stages.hpp"
#include "state.hpp"
#include "wire.hpp"

namespace {

using sparccl::Backend;
using Clock = std::chrono::steady_clock;

struct Settings {
  std::size_t count = std::size_t{1} << 26;
  std::vector<double> densities = {0.001, 0.01};
  std::vector<std::string> data = {"gaussian", "feedback"};
  int world_size = 4;
  int repeats = 9;
  int feedback_steps = 50;
  double mu = 2.0;
  bool baselines = true;
  std::string json;
};

double milliseconds(auto&& work) {
  const auto start = Clock::now();
  work();
  return std::chrono::duration<double, std::milli>(Clock::now() - start).count();
}

double median(std::vector<double> values) {
  std::ranges::sort(values);
  return values[values.size() / 2];
}

/// Normal numbers from a generator that is fast enough for billions: a sum of four uniforms would
/// have no tails, so Box-Muller over xorshift.
void fill_gaussian(std::vector<float>& out, std::uint64_t seed, float scale = 1.0f) {
  std::uint64_t x = seed * 0x9e3779b97f4a7c15u + 1;
  const auto uniform = [&] {
    x ^= x << 13;
    x ^= x >> 7;
    x ^= x << 17;
    return static_cast<float>((x >> 40) + 1) * 0x1p-24f;
  };
  for (std::size_t i = 0; i + 1 < out.size(); i += 2) {
    const float radius = scale * std::sqrt(-2.0f * std::log(uniform()));
    const float angle = 6.2831853f * uniform();
    out[i] = radius * std::cos(angle);
    out[i + 1] = radius * std::sin(angle);
  }
  if (out.size() % 2 != 0) out.back() = scale;
}

/// One rank's tensor on the bare backend.
class Tensor {
 public:
  Tensor(Backend& backend, const sparccl::Plan& plan) : backend_(backend), plan_(plan) {
    const auto world = static_cast<std::size_t>(plan.world_size);
    residual_ = backend.allocate(plan.count * sizeof(float));
    memory_.residual = residual_.get();
    history_ = sparccl::make_history(backend, plan, plan.k, memory_);
    scratch_ = backend.allocate(backend.workspace_bytes(plan));
    packet_bytes_ = sparccl::wire::layout(plan).bytes;
    slots_ = backend.allocate(world * packet_bytes_);
    for (std::size_t rank = 0; rank < world; ++rank) {
      auto* slot = static_cast<std::byte*>(slots_.get()) + rank * packet_bytes_;
      sparccl::wire::write_identity(plan, 0, slot);
      packets_.push_back(sparccl::wire::view(plan, slot));
    }
  }

  float* residual() { return static_cast<float*>(memory_.residual); }

  struct Times {
    double accumulate = 0, select = 0, pack = 0;
    [[nodiscard]] double total() const { return accumulate + select + pack; }
  };
  Times step(const float* gradient, int rank = 0) {
    const sparccl::Step step{gradient, 1.0, seed_++, nullptr};
    Times t;
    t.accumulate = milliseconds([&] { backend_.accumulate(plan_, step, memory_, scratch_.get()); });
    t.select = milliseconds([&] { backend_.select(plan_, step, memory_, scratch_.get()); });
    t.pack = milliseconds([&] {
      backend_.pack(plan_, step, memory_, scratch_.get(), packets_[static_cast<std::size_t>(rank)]);
    });
    return t;
  }

  double check() {
    return milliseconds([&] {
      if (backend_.check(plan_, packets_).kind != sparccl::Verdict::Kind::sum) {
        throw std::runtime_error("a packet of the benchmark's own is not sound");
      }
    });
  }
  double merge(float* result) {
    const sparccl::Step step{};
    return milliseconds([&] {
      backend_.merge(plan_, step, memory_, scratch_.get(), packets_, {}, {.dense = result});
    });
  }
  [[nodiscard]] sparccl::StepCounts counts() const {
    return backend_.counts(plan_, scratch_.get());
  }
  [[nodiscard]] double extra_bytes_per_entry() const {
    const double bytes = static_cast<double>(history_.bytes + backend_.workspace_bytes(plan_) +
                                             packets_.size() * packet_bytes_);
    return bytes / static_cast<double>(plan_.count);
  }

 private:
  Backend& backend_;
  sparccl::Plan plan_;
  sparccl::Memory memory_;
  Backend::Buffer residual_{nullptr, nullptr};
  sparccl::History history_;
  Backend::Buffer scratch_{nullptr, nullptr};
  Backend::Buffer slots_{nullptr, nullptr};
  std::size_t packet_bytes_ = 0;
  std::vector<sparccl::Packet> packets_;
  std::uint64_t seed_ = 0;
};

double plain_pass(std::vector<float>& e, const float* g) {
  return milliseconds([&] {
    float* to = e.data();
    for (std::size_t i = 0, n = e.size(); i < n; ++i) to[i] += g[i];
  });
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

/// Gradients of one rank, step by step.
///   gaussian: fresh numbers (a window that moves over a longer list);
///   feedback: what training has: scales that differ from coordinate to coordinate, and a part that
///   stays from step to step.
class Gradients {
 public:
  Gradients(std::size_t count, bool feedback, std::uint64_t seed) : feedback_(feedback) {
    if (!feedback) {
      fill_gaussian(noise_.emplace_back(count + windows * window), seed * 16 + 1);
      return;
    }
    std::vector<float> common(count), scale(count);
    fill_gaussian(common, seed * 16 + 14, 0.5f);
    fill_gaussian(scale, 99);  // the same on every rank
    for (std::uint64_t j = 0; j < 4; ++j) {
      auto& g = noise_.emplace_back(count);
      fill_gaussian(g, seed * 16 + j + 1);
      for (std::size_t i = 0; i < count; ++i) g[i] = (common[i] + g[i]) * std::exp(scale[i]);
    }
  }
  const float* operator[](std::size_t step) const {
    return feedback_ ? noise_[step % noise_.size()].data()
                     : noise_[0].data() + step % windows * window;
  }

 private:
  static constexpr std::size_t windows = 1024;
  static constexpr std::size_t window = 1040;
  bool feedback_;
  std::vector<std::vector<float>> noise_;
};

Row measure(Backend& backend, const Settings& settings, const std::string& data, double density) {
  const bool feedback = data == "feedback";
  const sparccl::Plan plan =
      sparccl::make_plan("bench", settings.count, sparccl::DataType::float32,
                         {.density = density, .mu = settings.mu}, {0, settings.world_size});
  Row row{.data = data, .density = density, .k = plan.k};
  Tensor tensor(backend, plan);
  std::vector<float> plain(settings.count), result(settings.count);
  for (int rank = 1; rank < settings.world_size; ++rank) {  // the peers' packets
    const Gradients gradients(settings.count, feedback, static_cast<std::uint64_t>(rank));
    std::memset(tensor.residual(), 0, settings.count * sizeof(float));
    tensor.step(gradients[0], rank);
  }
  const Gradients gradients(settings.count, feedback, 100);
  const Gradients other(feedback ? 2 : settings.count, false, 101);
  std::memset(tensor.residual(), 0, settings.count * sizeof(float));
  std::size_t t = 0;
  for (int i = 0; i < (feedback ? settings.feedback_steps : 1); ++i) {
    tensor.step(gradients[t++]);
    tensor.merge(result.data());
  }
  std::vector<double> plain_ms, accumulate_ms, select_ms, pack_ms, ratio;
  std::vector<double> fill_ms, check_ms, merge_ms, merge_ratio;
  for (int i = 0; i < settings.repeats; ++i) {
    const float* g = gradients[t++];
    if (!feedback) std::memcpy(tensor.residual(), other[t], plain.size() * sizeof(float));
    std::memcpy(plain.data(), tensor.residual(), plain.size() * sizeof(float));
    const double one = plain_pass(plain, g);
    const Tensor::Times two = tensor.step(g);
    row.candidates_per_k =
        static_cast<double>(tensor.counts().candidates) / static_cast<double>(plan.k);
    row.fallbacks += tensor.counts().fallbacks;
    plain_ms.push_back(one);
    accumulate_ms.push_back(two.accumulate);
    select_ms.push_back(two.select);
    pack_ms.push_back(two.pack);
    ratio.push_back(two.total() / one);

    const double fill = milliseconds([&] { std::fill(result.begin(), result.end(), 0.0f); });
    check_ms.push_back(tensor.check());
    const double merge = tensor.merge(result.data());
    fill_ms.push_back(fill);
    merge_ms.push_back(merge);
    merge_ratio.push_back((merge + check_ms.back()) / fill);
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

}  // namespace

int main(int argc, char** argv) {
  Settings settings;
  CLI::App app("Times the stages of a sparse allreduce on one thread of this host.");
  app.add_option("-n,--count", settings.count, "entries of the tensor (float32)")
      ->capture_default_str()
      ->check(CLI::Range(std::size_t{1024}, std::size_t{1} << 34));
  app.add_option("-d,--density", settings.densities, "shares of the entries sent")
      ->capture_default_str()
      ->check(CLI::Range(1e-9, 1.0));
  app.add_option("--data", settings.data,
                 "gaussian: fresh numbers; feedback: after steps of error feedback")
      ->capture_default_str()
      ->check(CLI::IsMember({"gaussian", "feedback"}));
  app.add_option("-p,--ranks", settings.world_size, "packets to merge")
      ->capture_default_str()
      ->check(CLI::Range(1, 1024));
  app.add_option("-r,--repeats", settings.repeats, "medians are over so many")
      ->capture_default_str()
      ->check(CLI::Range(1, 1000));
  app.add_option("--feedback-steps", settings.feedback_steps)
      ->capture_default_str()
      ->check(CLI::Range(1, 100000));
  app.add_option("--mu", settings.mu)->capture_default_str()->check(CLI::NonNegativeNumber);
  app.add_flag("!--no-baselines", settings.baselines, "leave out nth_element and sort");
  app.add_option("--json", settings.json, "write the figures to this file as well");
  CLI11_PARSE(app, argc, argv);

  try {
    const std::unique_ptr<Backend> backend = sparccl::make_host_backend();
    std::printf("n = %zu float32, %d packets, mu %g, medians of %d, milliseconds\n\n",
                settings.count, settings.world_size, settings.mu, settings.repeats);
    std::printf("%-9s %8s | %8s %10s %7s %6s %7s %7s %5s | %9s %6s %7s %7s | %7s\n", "data",
                "density", "e += g", "accumulate", "select", "pack", "ratio", "cand/k", "fallb",
                "zero-fill", "check", "merge", "ratio", "extra B");
    nlohmann::json rows = nlohmann::json::array();
    for (const std::string& data : settings.data) {
      for (const double density : settings.densities) {
        const Row r = measure(*backend, settings, data, density);
        std::printf(
            "%-9s %7.3f%% | %8.2f %10.2f %7.2f %6.2f %7.3f %7.3f %5llu | %9.2f %6.2f %7.2f %7.3f | "
            "%7.3f\n",
            r.data.c_str(), 100 * r.density, r.plain_ms, r.accumulate_ms, r.select_ms, r.pack_ms,
            r.ratio, r.candidates_per_k, static_cast<unsigned long long>(r.fallbacks),
            r.zero_fill_ms, r.check_ms, r.merge_ms, r.merge_ratio, r.extra_bytes);
        std::fflush(stdout);
        rows.push_back(to_json(r));
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
    if (!settings.json.empty()) {
      std::ofstream file(settings.json);
      file << report.dump(2) << '\n';
      if (!file) throw std::runtime_error("cannot write " + settings.json);
    }
  } catch (const std::exception& error) {
    std::fprintf(stderr, "stage_bench: %s\n", error.what());
    return 1;
  }
  return 0;
}
