#include "problem.hpp"

#include <cmath>
#include <random>

namespace regression {

Problem::Problem(const Shape& shape, std::uint64_t seed) : shape_(shape) {
  std::mt19937_64 random(seed);
  std::normal_distribution<double> normal;
  const auto draw = [&](auto&& values, double deviation) {
    for (double& value : values.reshaped()) value = deviation * normal(random);
  };
  Eigen::VectorXd centres(shape.workers);
  draw(centres, std::sqrt(shape.centre_variance));
  Eigen::MatrixXd gram = Eigen::MatrixXd::Zero(shape.weights, shape.weights);
  Eigen::VectorXd moment = Eigen::VectorXd::Zero(shape.weights);
  for (int worker = 0; worker < shape.workers; ++worker) {
    Eigen::VectorXd truth(shape.weights), noise(shape.points);
    Eigen::MatrixXd points(shape.points, shape.weights);
    draw(truth, 1);
    draw(points, 1);
    draw(noise, std::sqrt(shape.noise_variance));
    truth.array() += centres[worker];
    gram_.emplace_back(points.transpose() * points);
    moment_.emplace_back(points.transpose() * (points * truth + noise));
    gram += gram_.back();
    moment += moment_.back();
  }
  best_ = gram.ldlt().solve(moment);
  std::uniform_real_distribution<double> uniform(-1, 1);
  start_.resize(shape.weights);
  for (double& weight : start_) {
    weight = uniform(random) / std::sqrt(static_cast<double>(shape.weights));
  }
}

Eigen::VectorXd Problem::gradient(int worker, const Eigen::VectorXd& weights) const {
  const auto w = static_cast<std::size_t>(worker);
  return 2.0 / static_cast<double>(shape_.points) * (gram_[w] * weights - moment_[w]);
}

}  // namespace regression
