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

/// A communicator for each of `world_size` ranks that are threads: of hosts, of devices behind
/// hosts, or of NCCL, by which file the test is linked with (ranks_of_*.cpp).
[[nodiscard]] std::vector<Communicator> make_ranks(int world_size, int ranks_per_node = 0);

/// Whether these ranks are of a stand-in, whose every call takes long: a test is run under each of
/// its schedules, and does less in one. And which schedule that is.
[[nodiscard]] bool calls_are_slow();
[[nodiscard]] std::uint64_t schedule();

/// How often a loop over random shapes turns that turns `full` times where calls are fast, and how
/// far its shapes are from those of another schedule.
[[nodiscard]] int rounds(int full);
[[nodiscard]] std::uint64_t variation();

/// Whether the ranks' calls return before they are done, so that failures show later.
[[nodiscard]] bool asynchronous(const SparseAllreduce& tensor);

enum class Where { apart, in_place };

/// One call, from and to host memory whatever the communicator's; it is done on return.
[[nodiscard]] Bytes run(SparseAllreduce& tensor, const Bytes& gradient, double loss_scale = 1.0,
                        Where where = Where::apart);

struct SparseResult {
  std::size_t entries = 0;
  std::vector<std::uint64_t> positions;  // [capacity], ~0 where nothing was written
  Bytes values;                          // [capacity]
};
[[nodiscard]] SparseResult run_sparse(SparseAllreduce& tensor, const Bytes& gradient);

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
