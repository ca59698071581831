#include "study_run.hpp"

#include <cmath>
#include <cstdlib>
#include <iostream>
#include <memory>
#include <stdexcept>

#include "backend.hpp"
#include "data.hpp"
#include "ranks/world.hpp"
#include "study/interruption.hpp"
#include "study/progress.hpp"
#include "study/study.hpp"
#include "study_grid.hpp"
#include "study_table.hpp"
#include "trainer.hpp"

namespace mnist {
namespace {

using nlohmann::json;

double rounded(double value) { return std::round(1e4 * value) / 1e4; }

json result_of(const MethodResult& trained) {
  json steps = json::array(), bytes = json::array(), losses = json::array(), right = json::array();
  for (const CurvePoint& point : trained.curve) {
    steps.push_back(point.step);
    bytes.push_back(point.bytes);
    losses.push_back(rounded(point.training_loss));
    right.push_back(rounded(point.test_accuracy));
  }
  return {
      {"test_accuracy", trained.curve.back().test_accuracy},
      {"training_loss", rounded(trained.curve.back().training_loss)},
      {"bytes", trained.curve.back().bytes},
      {"curve",
       {{"step", steps}, {"bytes", bytes}, {"training_loss", losses}, {"test_accuracy", right}}}};
}

json train_one(const Config& config, const Data& data, study::Progress& progress) {
  json result;
  const int status = run_threads(config.ranks, [&](World& world) {
    const std::unique_ptr<Backend> backend = host_backend(world);
    const auto tell = [&](std::size_t done, const CurvePoint&) {
      if (world.rank() != 0) return;
      progress.at(static_cast<double>(done) / static_cast<double>(config.steps));
    };
    const MethodResult trained = train(*backend, config.methods.front(), config, data, tell);
    if (world.rank() == 0) result = result_of(trained);
    return EXIT_SUCCESS;
  });
  if (status != EXIT_SUCCESS) throw std::runtime_error("--study: a training failed, see above");
  return result;
}

}  // namespace

int run_study(const Config& config) {
  const Data data = load_data(config);
  const std::vector<StudyRun> runs = runs_of(*config.study);
  study::Study study(config.json, about_study(config, data));
  std::vector<StudyRun> missing;
  for (const StudyRun& run : runs) {
    if (study.find(key_of(run)) == nullptr) missing.push_back(run);
  }
  const std::size_t before = runs.size() - missing.size();
  study::Interruption interruption("train_mnist", config.json.string());
  study::Progress progress(runs.size(), before, config.progress);
  std::size_t done = before;
  for (const StudyRun& run : missing) {
    interruption.tell(done++, runs.size());
    progress.begin(describe(run.contender) + ", " + describe(run.setting) + ", seed " +
                   std::to_string(run.seed));
    const Config each = config_of(run, config);
    check(each, data, each.ranks);
    study.add(key_of(run), train_one(each, data, progress));
  }
  std::cout << study_table(study, runs) << std::flush;
  return EXIT_SUCCESS;
}

}  // namespace mnist
