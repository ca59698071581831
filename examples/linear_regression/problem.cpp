#include "problem.hpp"

#include <cmath>
#include <fstream>
#include <random>
#include <stdexcept>
#include <string>

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

Problem::Problem(const Shape& shape, const std::filesystem::path& file) : shape_(shape) {
  const auto workers = static_cast<std::uintmax_t>(shape.workers);
  const auto weights = static_cast<std::uintmax_t>(shape.weights);
  const std::uintmax_t expected = sizeof(double) * weights * (workers * (weights + 1) + 1);
  std::error_code error;
  const std::uintmax_t found = std::filesystem::file_size(file, error);
  std::ifstream stream(file, std::ios::binary);
  if (error || !stream) {
    throw std::runtime_error(file.string() + ": not found; numpy_problems.py writes it");
  }
  if (found != expected) {
    throw std::runtime_error(file.string() + ": expected " + std::to_string(expected) +
                             " bytes for this many workers and weights, found " +
                             std::to_string(found));
  }
  const auto read = [&](auto& values) {
    stream.read(reinterpret_cast<char*>(values.data()),
                static_cast<std::streamsize>(sizeof(double)) * values.size());
  };
  Eigen::MatrixXd gram = Eigen::MatrixXd::Zero(shape.weights, shape.weights);
  Eigen::VectorXd moment = Eigen::VectorXd::Zero(shape.weights);
  for (int worker = 0; worker < shape.workers; ++worker) {
    read(gram_.emplace_back(shape.weights, shape.weights));  // symmetric: either order will do
    gram += gram_.back();
  }
  for (int worker = 0; worker < shape.workers; ++worker) {
    read(moment_.emplace_back(shape.weights));
    moment += moment_.back();
  }
  best_ = gram.ldlt().solve(moment);
  start_.resize(shape.weights);
  read(start_);
  if (!stream) throw std::runtime_error(file.string() + ": cannot be read");
}

Eigen::VectorXd Problem::gradient(int worker, const Eigen::VectorXd& weights) const {
  const auto w = static_cast<std::size_t>(worker);
  return 2.0 / static_cast<double>(shape_.points) * (gram_[w] * weights - moment_[w]);
}

}  // namespace regression
