// What stage_bench is asked to measure.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <vector>

namespace sparccl::bench {

/// A selection by other software, timed elsewhere over the same number of entries.
struct OtherBaseline {
  std::string name;
  double ms = 0;
};

struct Settings {
  std::string backend = "host";
  std::size_t count = 0;
  std::vector<double> densities = {0.001, 0.01};
  std::vector<std::string> data;
  int world_size = 0;
  int repeats = 0;
  int feedback_steps = 0;
  double mu = 2.0;
  bool baselines = true;
  std::vector<OtherBaseline> others;
  std::string json;
};

/// What is measured where nothing is said. 0: what the backend's help says.
struct Defaults {
  std::size_t count = 0;
  int ranks = 0;
};

/// What argv asks for; nothing if it asks for help or is wrong, which is then printed, and `status`
/// is the exit code.
[[nodiscard]] std::optional<Settings> parse(int argc, char** argv, int& status,
                                            const Defaults& defaults = {});

/// The middle one, of at least one.
[[nodiscard]] double median(std::vector<double> values);

}  // namespace sparccl::bench
