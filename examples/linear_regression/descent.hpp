// Distributed gradient descent on a Problem, a thread for each worker.
#pragma once

#include <sparccl/types.hpp>

#include <cstddef>
#include <cstdint>
#include <vector>

#include "problem.hpp"

namespace regression {

enum class Method { dense, topk, regtopk };

/// "dense", "topk" or "regtopk".
[[nodiscard]] const char* name_of(Method method) noexcept;

struct Setting {
  Method method = Method::regtopk;
  double density = 0.6;
  double mu = 4;                                        ///< of RegTop-k
  double late_mu = 0;                                   ///< of RegTop-k from late_from on; 0: mu
  std::size_t late_from = 1500;                         ///< rounds
  sparccl::DataType type = sparccl::DataType::float64;  ///< of gradients and weights; or float32
  double step = 0.01;
  std::size_t rounds = 2500;
};

struct Course {
  std::vector<double> gap;            ///< [rounds] |w - w*|^2 after each
  std::uint64_t entries_a_round = 0;  ///< that a worker sends
  Eigen::VectorXd weights;            ///< at the end
};

/// All workers start at problem.start() and take the mean of what they send. Throws sparccl::Error.
[[nodiscard]] Course descend(const Problem& problem, const Setting& setting);

/// The mean gap of the last hundred rounds, or of all where there are fewer.
[[nodiscard]] double end_of(const Course& course);

}  // namespace regression
