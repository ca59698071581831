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

/// Of shares, in percent.
struct Interval {
  double mean = 0;
  std::optional<double> half;  ///< of 95 %; none of a single value
};

/// values: at least one.
Interval interval_of(const std::vector<double>& values) {
  const auto n = static_cast<double>(values.size());
  const double mean = std::accumulate(values.begin(), values.end(), 0.0) / n;
  Interval interval{100 * mean, std::nullopt};
  if (values.size() < 2 || values.size() > student.size() + 1) return interval;
  double squares = 0;
  for (const double value : values) squares += (value - mean) * (value - mean);
  interval.half = 100 * student[values.size() - 2] * std::sqrt(squares / (n - 1) / n);
  return interval;
}

/// "92.31 +- 0.20".
std::string in_percent(const std::vector<double>& values, const char* format) {
  if (values.empty()) return "-";
  const Interval interval = interval_of(values);
  char text[64];
  const int length = std::snprintf(text, sizeof(text), format, interval.mean);
  if (interval.half) {
    std::snprintf(text + length, sizeof(text) - static_cast<std::size_t>(length), " +- %.2f",
                  *interval.half);
  }
  return text;
}

std::optional<double> accuracy(const study::Study& study, const StudyRun& run) {
  const nlohmann::json* const found = study.find(key_of(run));
  if (found == nullptr) return std::nullopt;
  return study.number(*found, "test_accuracy");
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

struct Row {
  std::vector<double> accuracies, gains;
};

Row row_of(const study::Study& study, const std::vector<StudyRun>& runs, const StudyRun& first) {
  Row row;
  for (const StudyRun& run : repeated(runs, first)) {
    const std::optional<double> own = accuracy(study, run);
    const std::optional<double> topk = accuracy(study, topk_of(run));
    if (own) row.accuracies.push_back(*own);
    if (own && topk && describe(run.contender) != name_of(Method::topk)) {
      row.gains.push_back(*own - *topk);
    }
  }
  return row;
}

std::string line_of(const StudyRun& first, const Row& row) {
  char text[256];
  std::snprintf(text, sizeof(text), "%5d %-7s %5zu %9g  %-24s %16s %18s\n", first.setting.ranks,
                name_of(first.setting.shards), first.setting.local_steps, first.setting.density,
                describe(first.contender).c_str(), in_percent(row.accuracies, "%.2f").c_str(),
                in_percent(row.gains, "%+.2f").c_str());
  return text;
}

/// Of RegTop-k with a constant density: where the interval leaves out zero.
struct Tally {
  int all = 0, ahead = 0, behind = 0;

  void add(const StudyRun& first, const Row& row) {
    const Contender& contender = first.contender;
    if (contender.method != Method::regtopk || contender.schedule != Schedule::constant) return;
    if (row.gains.empty()) return;
    const Interval gain = interval_of(row.gains);
    if (!gain.half) return;
    ++all;
    if (gain.mean > *gain.half) ++ahead;
    if (gain.mean < -*gain.half) ++behind;
  }
};

}  // namespace

std::string study_table(const study::Study& study, const std::vector<StudyRun>& runs) {
  std::string text =
      "# test accuracy in percent, mean and 95 % interval over the seeds; the same of what it is\n"
      "# above Top-k's of the same seed\n"
      "ranks shards  local   density  method                           accuracy        above "
      "Top-k\n";
  Tally tally;
  for (const StudyRun& run : runs) {
    if (run.seed != runs.front().seed) continue;
    const Row row = row_of(study, runs, run);
    text += line_of(run, row);
    tally.add(run, row);
  }
  if (runs.back().seed < 5) return text;  // too few to tell chance from more
  char summary[160];
  std::snprintf(
      summary, sizeof(summary),
      "# RegTop-k against Top-k: the interval leaves out 0 in %d of %d settings, ahead in "
      "%d and behind in %d; of as\n# many settings without a difference, %.0f would\n",
      tally.ahead + tally.behind, tally.all, tally.ahead, tally.behind, 0.05 * tally.all);
  return text + summary;
}

}  // namespace mnist
