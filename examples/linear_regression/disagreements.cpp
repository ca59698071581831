#include <algorithm>
#include <cmath>
#include <functional>

#include "descent.hpp"

namespace regression {
namespace {

/// How often each worker sent a position, and in how many rounds not all were of one mind.
struct Count {
  std::vector<double> of_worker;
  double mixed = 0;
};

Count count_of(const Course& course, std::size_t position, std::size_t positions) {
  Count count{std::vector<double>(course.sent.size()), 0};
  const std::size_t rounds = course.sent.front().size() / positions;
  for (std::size_t round = 0; round < rounds; ++round) {
    std::size_t senders = 0;
    for (std::size_t worker = 0; worker < course.sent.size(); ++worker) {
      const std::uint8_t sent = course.sent[worker][round * positions + position];
      count.of_worker[worker] += sent;
      senders += sent;
    }
    if (senders != 0 && senders != course.sent.size()) count.mixed += 1;
  }
  for (double& sent : count.of_worker) sent /= static_cast<double>(rounds);
  count.mixed /= static_cast<double>(rounds);
  return count;
}

Disagreement told(const Problem& problem, const Course& course, std::size_t position, Count count) {
  Disagreement found{.position = position, .share = count.mixed};
  const auto least = std::ranges::min_element(count.of_worker);
  found.worker = static_cast<int>(least - count.of_worker.begin());
  found.own_share = *least;
  const auto at = static_cast<Eigen::Index>(position);
  found.own_gradient = problem.gradient(found.worker, course.weights)[at];
  for (int worker = 0; worker < problem.shape().workers; ++worker) {
    found.largest_gradient =
        std::max(found.largest_gradient, std::abs(problem.gradient(worker, course.weights)[at]));
  }
  std::ranges::sort(count.of_worker);
  found.usual_share = count.of_worker[count.of_worker.size() / 2];
  return found;
}

}  // namespace

std::vector<Disagreement> disagreements(const Problem& problem, const Course& course,
                                        std::size_t most) {
  std::vector<Disagreement> all;
  const auto positions = static_cast<std::size_t>(problem.shape().weights);
  if (course.sent.empty() || course.sent.front().empty()) return all;
  for (std::size_t position = 0; position < positions; ++position) {
    const Count count = count_of(course, position, positions);
    if (count.mixed > 0) all.push_back(told(problem, course, position, count));
  }
  std::ranges::stable_sort(all, std::greater{}, &Disagreement::share);
  all.resize(std::min(most, all.size()));
  return all;
}

}  // namespace regression
