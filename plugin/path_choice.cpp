#include "path_choice.hpp"

#include <algorithm>
#include <limits>

namespace sparccl {

PathChoice::PathChoice(const Predictions& predictions, bool may_try) {
  const Choice choice = choose(predictions);
  predicted_ = reason_ = choice.reason;
  double fastest = std::numeric_limits<double>::infinity();
  for (const auto& each : predictions.all) {
    if (each) fastest = std::min(fastest, each->seconds());
  }
  for (const Path path : paths) {
    const auto& prediction = predictions.of(path);
    if (prediction && prediction->seconds() <= near * fastest) candidates_.push_back({path, {}});
  }
  if (may_try && candidates_.size() > 1) {
    reason_ = "being tried; " + predicted_;
  } else {
    candidates_ = {{choice.path, {}}};
  }
}

void PathChoice::took(double seconds) {
  Candidate& candidate = candidates_[trying_];
  candidate.seconds.push_back(seconds);
  ++calls_;
  if (candidate.seconds.size() == warmups + measured) ++trying_;
}

std::vector<double> PathChoice::figures() const {
  std::vector<double> medians;
  for (const Candidate& candidate : candidates_) {
    std::vector<double> seconds(candidate.seconds.begin() + warmups, candidate.seconds.end());
    std::ranges::nth_element(seconds, seconds.begin() + measured / 2);
    medians.push_back(seconds[measured / 2]);
  }
  return medians;
}

void PathChoice::settle(const std::vector<double>& slowest) {
  const auto best = static_cast<std::size_t>(std::ranges::min_element(slowest) - slowest.begin());
  reason_ = std::string(name_of(candidates_[best].path)) + ": " + show_seconds(slowest[best]) +
            " measured";
  const char* separator = ", against ";
  for (std::size_t i = 0; i < candidates_.size(); ++i) {
    if (i == best) continue;
    reason_ += separator + show_seconds(slowest[i]) + " " + name_of(candidates_[i].path);
    separator = ", ";
  }
  reason_ += "; cost model: " + predicted_;
  candidates_ = {{candidates_[best].path, {}}};
  trying_ = 0;
}

}  // namespace sparccl
