// The one place where training meets sparccl: the mean of all ranks' gradients.
#pragma once

#include <sparccl/schedule.hpp>
#include <sparccl/sparccl.hpp>

#include <cstddef>
#include <cstdint>
#include <optional>
#include <vector>

#include "config.hpp"

namespace mnist {

/// All weights and biases are one tensor: one exchange per step, and the k entries are the largest
/// of the whole model, so that small layers send only what matters and nothing for form's sake.
class GradientAverage {
 public:
  GradientAverage(sparccl::Communicator communicator, std::size_t count, Method method,
                  const Config& config);

  /// Replaces gradient, [count] in the communicator's kind of memory, by the mean over the ranks
  /// (sparse methods: of what they sent). May return before that is done on the stream.
  void operator()(std::size_t step, float* gradient, sparccl::Stream stream);

  /// Bytes that this rank has sent so far; of a dense allreduce, what a ring sends. Exact when the
  /// stream has been waited for.
  [[nodiscard]] std::uint64_t wire_bytes() const;

  /// What a dense allreduce would have sent.
  [[nodiscard]] std::uint64_t dense_bytes() const;

  /// Where calls wait: seconds so far of moving bytes and waiting for them: all of a dense
  /// allreduce, and of a sparse one what is not sparsification. A rank that shares its core waits
  /// here for others' turns, too.
  [[nodiscard]] double transfer_seconds() const;

  /// The sparse methods' own counts; none for dense.
  [[nodiscard]] std::optional<sparccl::Stats> stats() const;

 private:
  sparccl::Communicator communicator_;
  std::size_t count_;
  std::optional<sparccl::SparseAllreduce> sparse_;
  void change_density(double density);
  /// Of sparccl::Accordion, host memory alone.
  void watch(std::size_t step, const float* mean);

  std::optional<sparccl::DgcWarmup> warmup_;
  std::optional<sparccl::Accordion> accordion_;
  std::vector<double> since_;  ///< sum of the means since accordion_'s interval began
  std::size_t interval_;
  double density_;
  std::uint64_t dense_steps_ = 0;
  double dense_seconds_ = 0;
};

}  // namespace mnist
