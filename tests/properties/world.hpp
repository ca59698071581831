// The same tensor on every rank of a local group, driven step by step.
#pragma once

#include <cstddef>
#include <functional>
#include <memory>
#include <optional>
#include <random>
#include <string>
#include <vector>

#include <sparccl/sparccl.hpp>

#include "data.hpp"
#include "number.hpp"
#include "oracle.hpp"
#include "ranks.hpp"

namespace sparccl::test {

using Bytes = std::vector<std::byte>;

/// Residual and history of a tensor, byte by byte.
[[nodiscard]] Bytes state_of(const SparseAllreduce& tensor);
[[nodiscard]] Vector residual_of(const SparseAllreduce& tensor);
[[nodiscard]] std::size_t history_entries_of(const SparseAllreduce& tensor);

[[nodiscard]] Options options_of(const Shape& shape);

class World {
 public:
  explicit World(const Shape& shape) : World(shape, options_of(shape)) {}
  World(const Shape& shape, const Options& options, const std::string& name = "fc1.weight");

  /// One call on every rank. Returns the result of each. An exception of a rank is rethrown.
  std::vector<Bytes> step(const std::vector<Vector>& gradients, double loss_scale = 1.0);

  /// f(tensor) on a thread per rank.
  void each(const std::function<void(SparseAllreduce&, int rank)>& f);

  [[nodiscard]] SparseAllreduce& tensor(int rank) {
    return *tensors_[static_cast<std::size_t>(rank)];
  }
  [[nodiscard]] std::vector<Communicator>& communicators() { return communicators_; }
  [[nodiscard]] std::vector<Vector> residuals() const;
  [[nodiscard]] std::vector<Bytes> states() const;

 private:
  Shape shape_;
  std::vector<Communicator> communicators_;
  std::vector<std::unique_ptr<SparseAllreduce>> tensors_;
};

/// Calls f, which must throw; gives the error. Anything else fails the test.
[[nodiscard]] std::optional<Error> error_of(const std::function<void()>& f);

/// Code, and that the sentence contains all of `words`.
void expect_error(const std::function<void()>& f, Result code,
                  const std::vector<std::string>& words);

/// A random shape: counts around the block, chunk and vector sizes, every type and option.
/// most_work bounds ranks x count.
[[nodiscard]] Shape random_shape(std::mt19937_64& random, std::size_t most_work);

[[nodiscard]] std::string describe(const Shape& shape);

/// Each rank its own pattern, or all the same one plus noise.
[[nodiscard]] std::vector<Vector> random_gradients(const Shape& shape, std::mt19937_64& random);

[[nodiscard]] std::vector<Vector> integer_gradients(const Shape& shape, int most,
                                                    std::mt19937_64& random);

}  // namespace sparccl::test
