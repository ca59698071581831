#include "study_table.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdio>
#include <numeric>
#include <optional>

namespace mnist {
namespace {

/// Student's t, two-sided, 95 %: of 1 to 9 degrees of freedom (any table of it).
constexpr std::array student{12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262};

/// "92.31 +- 0.20", of shares; of a single value without an interval.
std::string in_percent(const std::vector<double>& values, const char* format) {
  if (values.empty()) return "-";
  const auto n = static_cast<double>(values.size());
  const double mean = std::accumulate(values.begin(), values.end(), 0.0) / n;
  char text[64];
  int length = std::snprintf(text, sizeof(text), format, 100 * mean);
  if (values.size() > 1 && values.size() <= student.size() + 1) {
    double squares = 0;
    for (const double value : values) squares += (value - mean) * (value - mean);
    const double half = student[values.size() - 2] * std::sqrt(squares / (n - 1) / n);
    std::snprintf(text + length, sizeof(text) - static_cast<std::size_t>(length), " +- %.2f",
                  100 * half);
  }
  return text;
}

std::optional<double> accuracy(const study::Study& study, const StudyRun& run) {
  const nlohmann::json* const found = study.find(key_of(run));
  if (found == nullptr) return std::nullopt;
  return found->at("test_accuracy").get<double>();
}

/// All seeds of a run.
std::vector<StudyRun> repeated(const std::vector<StudyRun>& runs, const StudyRun& like) {
  const auto unseeded = [](StudyRun run) {
    run.seed = 0;
    return key_of(run);
  };
  std::vector<StudyRun> same;
  for (const StudyRun& run : runs) {
    if (unseeded(run) == unseeded(like)) same.push_back(run);
  }
  return same;
}

StudyRun topk_of(StudyRun run) {
  run.contender = {Method::topk};
  return run;
}

std::string row_of(const study::Study& study, const std::vector<StudyRun>& runs,
                   const StudyRun& first) {
  std::vector<double> accuracies, gains;
  for (const StudyRun& run : repeated(runs, first)) {
    const std::optional<double> own = accuracy(study, run);
    const std::optional<double> topk = accuracy(study, topk_of(run));
    if (own) accuracies.push_back(*own);
    if (own && topk && describe(run.contender) != name_of(Method::topk)) {
      gains.push_back(*own - *topk);
    }
  }
  char text[256];
  std::snprintf(text, sizeof(text), "%5d %-7s %5zu %9g  %-24s %16s %18s\n", first.setting.ranks,
                name_of(first.setting.shards), first.setting.local_steps, first.setting.density,
                describe(first.contender).c_str(), in_percent(accuracies, "%.2f").c_str(),
                in_percent(gains, "%+.2f").c_str());
  return text;
}

}  // namespace

std::string study_table(const study::Study& study, const std::vector<StudyRun>& runs) {
  std::string text =
      "# test accuracy in percent, mean and 95 % interval over the seeds; the same of what it is\n"
      "# above Top-k's of the same seed\n"
      "ranks shards  local   density  method                           accuracy        above Top-k\n";
  for (const StudyRun& run : runs) {
    if (run.seed == runs.front().seed) text += row_of(study, runs, run);
  }
  return text;
}

}  // namespace mnist
