#include "path_choice.hpp"

#include <algorithm>
#include <limits>
#include <numeric>
#include <span>

namespace sparccl {

PathChoice::PathChoice(const Predictions& predictions, bool may_try) {
  const Choice choice = choose(predictions);
  predicted_ = reason_ = choice.reason;
  double fastest = std::numeric_limits<double>::infinity();
  for (const auto& each : predictions.all) {
    if (each) fastest = std::min(fastest, each->seconds());
  }
  if (fastest < 1e-3) measured_ = measured_of_short;
  for (const Path path : paths) {
    const auto& prediction = predictions.of(path);
    if (!prediction) continue;
    const double seconds = prediction->seconds();
    if (seconds <= (path == Path::dense ? near_dense : near) * fastest) {
      candidates_.push_back({path, warmups, measured_});
    } else if (path == Path::dense && seconds <= longest_look) {
      candidates_.push_back({path, looks_at_far - 1, 1});
    }
  }
  if (may_try && candidates_.size() > 1) {
    reason_ = "being tried; " + predicted_;
  } else {
    candidates_ = {{choice.path}};
  }
}

void PathChoice::took(double seconds) {
  Candidate& candidate = candidates_[trying_];
  candidate.seconds.push_back(seconds);
  ++calls_;
  if (candidate.seconds.size() == candidate.warmups + candidate.measured) ++trying_;
}

/// The mean of the calls but for a fifth at either end: calls that take turns count, what the
/// machine does besides does not.
std::vector<double> PathChoice::figures() const {
  std::vector<double> means;
  for (const Candidate& candidate : candidates_) {
    std::vector<double> seconds(
        candidate.seconds.begin() + static_cast<std::ptrdiff_t>(candidate.warmups),
        candidate.seconds.end());
    std::ranges::sort(seconds);
    const std::size_t left_out = candidate.measured / 5;
    const std::span<const double> inner =
        std::span(seconds).subspan(left_out, candidate.measured - 2 * left_out);
    means.push_back(std::accumulate(inner.begin(), inner.end(), 0.0) /
                    static_cast<double>(inner.size()));
  }
  return means;
}

void PathChoice::settle(const std::vector<double>& seconds) {
  std::size_t best = 0;
  for (std::size_t i = 1; i < candidates_.size(); ++i) {
    // dense is the first, if it was tried.
    const bool dense = candidates_[best].path == Path::dense;
    if (seconds[i] < (dense ? worthwhile : 1.0) * seconds[best]) best = i;
  }
  reason_ = std::string(name_of(candidates_[best].path)) + ": " + show_seconds(seconds[best]) +
            " measured";
  const char* separator = ", against ";
  bool faster = false;
  for (std::size_t i = 0; i < candidates_.size(); ++i) {
    if (i == best) continue;
    faster = faster || seconds[i] < seconds[best];
    reason_ += separator + show_seconds(seconds[i]) + " " + name_of(candidates_[i].path);
    separator = ", ";
  }
  if (faster) reason_ += "; a sparse path is taken where it saves a tenth";
  reason_ += "; cost model: " + predicted_;
  candidates_ = {{candidates_[best].path}};
  trying_ = 0;
}

}  // namespace sparccl
