// Distributed gradient descent on a Problem, a thread for each worker.
#pragma once

#include <sparccl/types.hpp>

#include <cstddef>
#include <cstdint>
#include <vector>

#include "problem.hpp"
#include "study/method.hpp"

namespace regression {

using study::Method;
using study::name_of;

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

/// Rounds, of the last ones, that a Course keeps who sent what of.
inline constexpr std::size_t watched_rounds = 200;

/// A position that in some of the watched rounds was sent by some workers and not by all.
struct Disagreement {
  std::size_t position = 0;
  double share = 0;             ///< of the watched rounds
  int worker = 0;               ///< that sent it least often
  double own_share = 0;         ///< of the watched rounds in which that one did
  double usual_share = 0;       ///< the median over the workers
  double own_gradient = 0;      ///< of that worker there, at the end
  double largest_gradient = 0;  ///< |...| of any worker there
};

struct Course {
  std::vector<double> gap;            ///< [rounds] |w - w*|^2 after each
  std::uint64_t entries_a_round = 0;  ///< that a worker sends
  Eigen::VectorXd weights;            ///< at the end
  /// [workers][watched_rounds][weights]: 1 where a worker sent. Of sparse methods.
  std::vector<std::vector<std::uint8_t>> sent;
};

/// Those of the largest share, at most `most`, of a sparse method.
[[nodiscard]] std::vector<Disagreement> disagreements(const Problem& problem, const Course& course,
                                                      std::size_t most);

/// All workers start at problem.start() and take the mean of what they send. Throws sparccl::Error.
[[nodiscard]] Course descend(const Problem& problem, const Setting& setting);

/// The mean gap of the last hundred rounds, or of all where there are fewer.
[[nodiscard]] double end_of(const Course& course);

}  // namespace regression
