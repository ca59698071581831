// The vectors of the executable specification, replayed on the oracle and on the implementation.
#include <fstream>

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "oracle.hpp"
#include "ranks.hpp"
#include "sparse_allreduce.hpp"

namespace sparccl::test {
namespace {

struct Step {
  std::vector<std::vector<float>> gradients, residual;
  std::vector<float> sum;
  std::vector<Positions> positions;
};

struct Golden {
  int ranks;
  std::size_t count, k;
  double mu;
  std::vector<Step> steps;
};

Golden load_golden() {
  const nlohmann::json json = nlohmann::json::parse(std::ifstream(SPARCCL_GOLDEN));
  Golden golden{json.at("P"), json.at("n"), json.at("k"), json.at("mu"), {}};
  for (const auto& step : json.at("steps")) {
    golden.steps.push_back(
        {step.at("gradients"), step.at("residual"), step.at("sum"), step.at("positions")});
  }
  return golden;
}

template <class To, class From>
std::vector<To> converted(const std::vector<From>& from) {
  return {from.begin(), from.end()};
}

/// The positions sent in the last step, out of the history.
Positions sent(const SparseAllreduce& tensor) {
  const Memory& memory = tensor.impl().memory();
  Positions positions;
  std::size_t i = 0;
  for (std::size_t block = 0; block < tensor.impl().plan().blocks(); ++block) {
    for (const std::size_t end = i + memory.sent_per_block[block]; i < end; ++i) {
      positions.push_back(block * block_size + memory.sent_offsets[i]);
    }
  }
  return positions;
}

TEST(Golden, TheOracleReproducesTheSpecification) {
  const Golden golden = load_golden();
  ASSERT_EQ(golden.steps.size(), 12u);
  Oracle oracle({.ranks = golden.ranks, .count = golden.count, .k = golden.k, .mu = golden.mu});
  for (const Step& step : golden.steps) {
    std::vector<Vector> gradients;
    for (const auto& gradient : step.gradients) gradients.push_back(converted<double>(gradient));
    const Oracle::Outcome outcome = oracle.step(gradients);
    EXPECT_EQ(outcome.positions, step.positions);
    EXPECT_EQ(converted<float>(outcome.result), step.sum);
    for (int rank = 0; rank < golden.ranks; ++rank) {
      EXPECT_EQ(converted<float>(oracle.residual(rank)),
                step.residual[static_cast<std::size_t>(rank)]);
    }
  }
}

TEST(Golden, TheImplementationReproducesTheSpecification) {
  const Golden golden = load_golden();
  on_local_ranks(golden.ranks, [&](Communicator& communicator) {
    const auto rank = static_cast<std::size_t>(communicator.rank());
    SparseAllreduce tensor(communicator, "golden", golden.count, DataType::float32,
                           {.k = golden.k, .mu = golden.mu});
    std::vector<float> result(golden.count);
    for (const Step& step : golden.steps) {
      tensor(std::span<const float>(step.gradients[rank]), std::span<float>(result));
      EXPECT_EQ(result, step.sum);
      EXPECT_EQ(sent(tensor), step.positions[rank]);
      const auto* residual = static_cast<const float*>(tensor.residual());
      EXPECT_EQ(std::vector<float>(residual, residual + golden.count), step.residual[rank]);
    }
  });
}

}  // namespace
}  // namespace sparccl::test
