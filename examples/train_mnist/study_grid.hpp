// The trainings of --study: where the papers look for differences, and where they do not.
#pragma once

#include <cstdint>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "config.hpp"
#include "idx.hpp"

namespace mnist {

/// How the density goes on: as it is, by sparccl::DgcWarmup, or by sparccl::Accordion.
enum class Schedule { constant, warmup, accordion };

/// "constant", "warmup" or "accordion".
[[nodiscard]] const char* name_of(Schedule schedule) noexcept;

/// What is compared within a Setting.
struct Contender {
  Method method = Method::dense;
  double mu = 0;  ///< of RegTop-k
  Schedule schedule = Schedule::constant;
};

/// What all contenders have in common.
struct Setting {
  int ranks = 4;
  Shards shards = Shards::mixed;
  std::size_t local_steps = 1;
  double density = 0.001;  ///< 1 of Method::dense, which belongs to every density
};

struct StudyRun {
  Setting setting;
  Contender contender;
  std::uint64_t seed = 1;
};

/// In an order in which an interrupted study is one of fewer seeds.
[[nodiscard]] std::vector<StudyRun> runs_of(StudyName study);

[[nodiscard]] std::uint64_t seeds_of(StudyName study) noexcept;

/// What tells a run from the others of its study.
[[nodiscard]] nlohmann::json key_of(const StudyRun& run);

/// Of `base` the data and --progress; the rest is the study's.
[[nodiscard]] Config config_of(const StudyRun& run, const Config& base);

/// What all runs have in common.
[[nodiscard]] nlohmann::json about_study(const Config& base, const Data& data);

/// "regtopk mu 2".
[[nodiscard]] std::string describe(const Contender& contender);

/// "4 ranks, sorted shards, 20 local steps, density 0.001".
[[nodiscard]] std::string describe(const Setting& setting);

}  // namespace mnist
