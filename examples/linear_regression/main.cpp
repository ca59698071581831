// Runs the grid, keeps each run, prints how each setting ended.
#include <algorithm>
#include <cmath>
#include <cstdio>
#include <exception>
#include <map>

#include "config.hpp"
#include "study/interruption.hpp"
#include "study/progress.hpp"
#include "study/study.hpp"

namespace regression {
namespace {

using nlohmann::json;

struct Run {
  Setting setting;
  std::uint64_t seed;
};

json about(const Config& config) {
  json what = {{"workers", config.shape.workers},
               {"weights", config.shape.weights},
               {"points", config.shape.points},
               {"centre_variance", config.shape.centre_variance},
               {"noise_variance", config.shape.noise_variance},
               {"step", config.step},
               {"rounds", config.rounds}};
  if (config.late_mu > 0) what["late_mu"] = {{"mu", config.late_mu}, {"from", config.late_from}};
  if (!config.problems.empty()) {  // told apart by where the first one ends
    what["problems"] =
        Problem(config.shape, config.problems / "problem-0.f64").best().squaredNorm();
  }
  return what;
}

json key_of(const Run& run) {
  return {{"method", name_of(run.setting.method)},
          {"density", run.setting.density},
          {"mu", run.setting.mu},
          {"type", sparccl::name_of(run.setting.type)},
          {"seed", run.seed}};
}

/// Dense has no density but 1, and mu is RegTop-k's alone.
std::vector<Setting> settings_of(const Config& config) {
  std::vector<Setting> settings;
  for (const sparccl::DataType type : config.types) {
    for (const Method method : config.methods) {
      const bool dense = method == Method::dense;
      for (const double density : dense ? std::vector<double>{1} : config.densities) {
        for (const double mu : method == Method::regtopk ? config.mus : std::vector<double>{0}) {
          settings.push_back({method, density, mu, config.late_mu, config.late_from, type,
                              config.step, config.rounds});
        }
      }
    }
  }
  return settings;
}

/// Three digits of some sixty rounds: more would not be seen.
json curve_of(const Course& course) {
  json rounds = json::array(), gaps = json::array();
  const auto last = static_cast<double>(course.gap.size());
  std::size_t next = 1;
  for (std::size_t round = 1; round <= course.gap.size(); ++round) {
    if (round != next && round != course.gap.size()) continue;
    char text[32];
    std::snprintf(text, sizeof(text), "%.3g", course.gap[round - 1]);
    rounds.push_back(round);
    gaps.push_back(std::strtod(text, nullptr));
    next = round + std::max<std::size_t>(1, static_cast<std::size_t>(last / 60));
  }
  return {{"round", rounds}, {"gap", gaps}};
}

/// The weights that are furthest from the best ones, and what share of the gap is theirs.
json furthest(const Problem& problem, const Course& course) {
  const Eigen::VectorXd squares = (course.weights - problem.best()).array().square();
  std::vector<Eigen::Index> order(static_cast<std::size_t>(squares.size()));
  for (std::size_t i = 0; i < order.size(); ++i) order[i] = static_cast<Eigen::Index>(i);
  std::ranges::sort(order, std::greater{}, [&](Eigen::Index i) { return squares[i]; });
  order.resize(std::min<std::size_t>(5, order.size()));
  json found = json::array();
  for (const Eigen::Index i : order) {
    found.push_back({{"position", i}, {"share", squares[i] / std::max(squares.sum(), 1e-300)}});
  }
  return found;
}

/// Positions that not all workers send at the same time: where a run is stuck, and why.
json torn(const Problem& problem, const Course& course) {
  json found = json::array();
  for (const Disagreement& each : disagreements(problem, course, 3)) {
    found.push_back({{"position", each.position},
                     {"share_of_rounds", each.share},
                     {"worker", each.worker},
                     {"sends_in", each.own_share},
                     {"others_send_in", each.usual_share},
                     {"gradient", each.own_gradient},
                     {"largest_gradient", each.largest_gradient}});
  }
  return found;
}

const json& run(study::Study& study, const Problem& problem, const Run& run) {
  const Course course = descend(problem, run.setting);
  return study.add(key_of(run), {{"end", end_of(course)},
                                 {"entries_a_round", course.entries_a_round},
                                 {"furthest", furthest(problem, course)},
                                 {"torn", torn(problem, course)},
                                 {"curve", curve_of(course)}});
}

/// sorted: at least one.
double median_of(const std::vector<double>& sorted) {
  const std::size_t half = sorted.size() / 2;
  return sorted.size() % 2 == 1 ? sorted[half] : (sorted[half - 1] + sorted[half]) / 2;
}

void print(const study::Study& study, const std::vector<Setting>& settings, std::uint64_t seeds) {
  std::printf("# |w - w*|^2, mean of the last 100 rounds, of %llu seeds\n",
              static_cast<unsigned long long>(seeds));
  std::printf("# %-8s %-8s %8s %6s %10s %10s %10s %14s\n", "type", "method", "density", "mu",
              "best", "median", "worst", "below 1e-9");
  for (const Setting& setting : settings) {
    std::vector<double> ends;
    for (std::uint64_t seed = 0; seed < seeds; ++seed) {
      const json* const done = study.find(key_of({setting, seed}));
      if (done != nullptr) ends.push_back(study.number(*done, "end"));
    }
    std::ranges::sort(ends);
    const auto below = std::ranges::count_if(ends, [](double end) { return end < 1e-9; });
    std::printf("  %-8s %-8s %8g %6g %10.2g %10.2g %10.2g %8td of %zu\n",
                sparccl::name_of(setting.type), name_of(setting.method), setting.density,
                setting.mu, ends.front(), median_of(ends), ends.back(), below, ends.size());
  }
}

Problem problem_of(const Config& config, std::uint64_t seed) {
  if (config.problems.empty()) return {config.shape, seed};
  return {config.shape, config.problems / ("problem-" + std::to_string(seed) + ".f64")};
}

int study_all(const Config& config) {
  study::Study study(config.json, about(config));
  const std::vector<Setting> settings = settings_of(config);
  std::vector<Run> missing;
  for (std::uint64_t seed = 0; seed < config.seeds; ++seed) {
    for (const Setting& setting : settings) {
      if (study.find(key_of({setting, seed})) == nullptr) missing.push_back({setting, seed});
    }
  }
  const std::size_t runs = settings.size() * config.seeds;
  std::size_t done = runs - missing.size();
  study::Interruption interruption("linear_regression", config.json.string());
  study::Progress progress(
      runs, done, config.quiet ? study::ProgressStyle::none : study::ProgressStyle::automatic);
  std::map<std::uint64_t, Problem> problem;  // of the seed at hand alone
  for (const Run& each : missing) {
    if (!problem.contains(each.seed)) {
      problem.clear();
      problem.emplace(each.seed, problem_of(config, each.seed));
    }
    char what[96];
    std::snprintf(what, sizeof(what), "%s %s, density %g, mu %g, seed %llu",
                  name_of(each.setting.method), sparccl::name_of(each.setting.type),
                  each.setting.density, each.setting.mu,
                  static_cast<unsigned long long>(each.seed));
    interruption.tell(done++, runs);
    progress.begin(what);
    run(study, problem.at(each.seed), each);
  }
  print(study, settings, config.seeds);
  return 0;
}

}  // namespace
}  // namespace regression

int main(int argc, char** argv) {
  const regression::ParsedCommandLine parsed = regression::parse_command_line(argc, argv);
  std::fputs(parsed.output.c_str(), stdout);
  std::fputs(parsed.error.c_str(), stderr);
  if (!parsed.config) return parsed.exit_status;
  try {
    return regression::study_all(*parsed.config);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "linear_regression: %s\n", error.what());
    return 1;
  }
}
