// Least squares over workers that disagree, as in the papers (arXiv 2409.14893, 2501.05633).
#pragma once

#include <Eigen/Dense>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <vector>

namespace regression {

struct Shape {
  int workers = 20;
  Eigen::Index weights = 100;
  Eigen::Index points = 500;   ///< of each worker
  double centre_variance = 5;  ///< of what the workers disagree by
  double noise_variance = 0.5;
};

/// Worker p draws a centre u_p ~ N(0, centre_variance), true weights t_p ~ N(u_p, 1) and points
/// X_p ~ N(0, 1), y_p = X_p t_p + noise. All want the w that minimises the mean over the workers of
/// |X_p w - y_p|^2 / points.
class Problem {
 public:
  /// The same seed gives the same problem with the same C++ library: its normal distribution is its
  /// own.
  Problem(const Shape& shape, std::uint64_t seed);

  /// What numpy_problems.py wrote of this shape. Throws std::runtime_error that names the file.
  Problem(const Shape& shape, const std::filesystem::path& file);

  [[nodiscard]] const Shape& shape() const noexcept { return shape_; }

  /// Of one worker's part, at `weights`: [weights].
  [[nodiscard]] Eigen::VectorXd gradient(int worker, const Eigen::VectorXd& weights) const;

  [[nodiscard]] const Eigen::VectorXd& start() const noexcept { return start_; }
  [[nodiscard]] const Eigen::VectorXd& best() const noexcept { return best_; }

 private:
  Shape shape_;
  std::vector<Eigen::MatrixXd> gram_;    // X^T X
  std::vector<Eigen::VectorXd> moment_;  // X^T y
  Eigen::VectorXd start_, best_;
};

}  // namespace regression
