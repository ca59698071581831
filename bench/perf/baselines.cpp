#include "baselines.hpp"

#include <limits>

#include "failures.hpp"

namespace sparccl::perf {

std::unique_ptr<Baseline> make_baseline(const std::string& name, Ranks& ranks,
                                        const BaselineShape& shape) {
  if (shape.count > static_cast<std::size_t>(std::numeric_limits<int>::max())) {
    throw NotMeasured("baseline " + name + ": counts of an int end below " +
                      std::to_string(shape.count) + " entries");
  }
  if (name == "mpi") return ranks.dense_mpi(shape.type, shape.reduction);
  if (name == "gloo") return gloo_baseline(ranks, shape);
  return naive_baseline(ranks, shape);
}

}  // namespace sparccl::perf
