#include "study_grid.hpp"

#include <zlib.h>

#include <cstdio>

namespace mnist {
namespace {

/// Of each rank, and of each local step.
constexpr std::size_t images_a_rank = 16;
constexpr std::size_t hidden = 128;
const std::vector<std::size_t> convolutions{8, 16};
constexpr std::size_t hidden_behind_convolutions = 64;
constexpr double learning_rate = 0.1;
constexpr double high_density = 0.01;  // of Accordion and in the settings where it is tried
constexpr std::size_t interval = 20;
constexpr std::size_t warmup_stage = 10;

/// Averages of gradients: as many as tell the methods apart.
std::size_t rounds(std::size_t local_steps) { return local_steps == 1 ? 300 : 50; }

const std::vector<Contender> methods{{Method::dense},
                                     {Method::topk},
                                     {Method::regtopk, 1},
                                     {Method::regtopk, 2},
                                     {Method::regtopk, 5}};
const std::vector<Contender> few_methods{{Method::dense}, {Method::topk}, {Method::regtopk, 2}};
const std::vector<Contender> schedules{{Method::topk, 0, Schedule::warmup},
                                       {Method::topk, 0, Schedule::accordion},
                                       {Method::regtopk, 2, Schedule::warmup},
                                       {Method::regtopk, 2, Schedule::accordion}};

struct Grid {
  std::vector<int> ranks;
  std::vector<double> densities;
  std::vector<Contender> contenders;
};

Grid grid_of(StudyName study) {
  switch (study) {
    case StudyName::quick: return {{4}, {0.001}, few_methods};
    case StudyName::full: return {{2, 4, 8, 16}, {0.01, 0.001, 0.0001}, methods};
    case StudyName::convolutional: return {{2, 4, 16}, {0.001, 0.0001}, methods};
  }
  return {};
}

void add_setting(std::vector<StudyRun>& runs, const Grid& grid, Setting setting,
                 std::uint64_t seed) {
  for (const Contender& contender : grid.contenders) {
    if (contender.method == Method::dense) {
      Setting dense = setting;
      dense.density = 1;
      runs.push_back({dense, contender, seed});
      continue;
    }
    for (const double density : grid.densities) {
      setting.density = density;
      runs.push_back({setting, contender, seed});
    }
  }
}

/// Other images are another study.
std::uint64_t checksum(const Data& data) {
  uLong sum = 0;
  for (const Dataset* const part : {&data.train, &data.test}) {
    for (const auto* const bytes : {&part->pixels, &part->labels}) {
      sum = crc32_z(sum, bytes->data(), bytes->size());
    }
  }
  return sum;
}

}  // namespace

const char* name_of(Schedule schedule) noexcept {
  switch (schedule) {
    case Schedule::constant: return "constant";
    case Schedule::warmup: return "warmup";
    case Schedule::accordion: return "accordion";
  }
  return "?";
}

std::uint64_t seeds_of(StudyName study) noexcept { return study == StudyName::quick ? 2 : 5; }

std::vector<StudyRun> runs_of(StudyName study) {
  const Grid grid = grid_of(study);
  std::vector<StudyRun> runs;
  for (std::uint64_t seed = 1; seed <= seeds_of(study); ++seed) {
    for (const int ranks : grid.ranks) {
      for (const Shards shards : {Shards::mixed, Shards::sorted}) {
        for (const std::size_t local : {std::size_t{1}, std::size_t{20}}) {
          add_setting(runs, grid, {ranks, shards, local}, seed);
        }
      }
    }
    if (study == StudyName::convolutional) continue;
    for (const Shards shards : {Shards::mixed, Shards::sorted}) {
      for (const Contender& contender : schedules) {
        runs.push_back({{4, shards, 1, 0.001}, contender, seed});
      }
    }
  }
  return runs;
}

nlohmann::json key_of(const StudyRun& run) {
  const auto& [setting, contender, seed] = run;
  return {{"ranks", setting.ranks},
          {"shards", name_of(setting.shards)},
          {"local_steps", setting.local_steps},
          {"density", setting.density},
          {"method", name_of(contender.method)},
          {"mu", contender.mu},
          {"schedule", name_of(contender.schedule)},
          {"seed", seed}};
}

Config config_of(const StudyRun& run, const Config& base) {
  const auto& [setting, contender, seed] = run;
  Config config = base;
  config.ranks = setting.ranks;
  config.methods = {contender.method};
  const bool convolutional = base.study == StudyName::convolutional;
  config.convolutions = convolutional ? convolutions : std::vector<std::size_t>{};
  config.hidden = {convolutional ? hidden_behind_convolutions : hidden};
  config.steps = rounds(setting.local_steps);
  config.batch = images_a_rank * static_cast<std::size_t>(setting.ranks);
  config.local_steps = setting.local_steps;
  config.shards = setting.shards;
  config.learning_rate = learning_rate;
  config.density = setting.density;
  config.mu = contender.mu;
  config.warmup = contender.schedule == Schedule::warmup ? warmup_stage : 0;
  config.accordion = contender.schedule == Schedule::accordion ? high_density : 0;
  config.interval = interval;
  config.points = 20;
  config.seed = seed;
  return config;
}

nlohmann::json about_study(const Config& base, const Data& data) {
  nlohmann::json about = {
      {"study", name_of(*base.study)},  {"training_images", data.train.size()},
      {"data", checksum(data)},         {"images_a_rank", images_a_rank},
      {"learning_rate", learning_rate}, {"rounds", {{"1", rounds(1)}, {"20", rounds(20)}}}};
  if (base.study == StudyName::convolutional) {
    about["convolutions"] = convolutions;
    about["hidden"] = {hidden_behind_convolutions};
  } else {
    about["hidden"] = {hidden};
    about["warmup_stage"] = warmup_stage;
    about["accordion"] = {{"high_density", high_density}, {"interval", interval}};
  }
  return about;
}

std::string describe(const Contender& contender) {
  char mu[32] = "";
  if (contender.method == Method::regtopk) std::snprintf(mu, sizeof(mu), " mu %g", contender.mu);
  std::string text = name_of(contender.method);
  text += mu;
  if (contender.schedule != Schedule::constant) {
    text += ", ";
    text += name_of(contender.schedule);
  }
  return text;
}

std::string describe(const Setting& setting) {
  char text[128];
  std::snprintf(text, sizeof(text), "%d ranks, %s shards, %zu local step%s, density %g",
                setting.ranks, name_of(setting.shards), setting.local_steps,
                setting.local_steps == 1 ? "" : "s", setting.density);
  return text;
}

}  // namespace mnist
