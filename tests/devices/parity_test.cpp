// Hosts and devices select the same entries from the same input, and send the same bytes. Where
// tanh of a device is not that of the host to the last bit, a tie may fall the other way: so may a
// few entries.
#include <random>

#include <gtest/gtest.h>

#include "cuda/cuda_backend.hpp"
#include "data.hpp"
#include "rig.hpp"
#include "world.hpp"

namespace sparccl::test {
namespace {

std::size_t differences(const Positions& a, const Positions& b) {
  Positions apart;
  std::ranges::set_symmetric_difference(a, b, std::back_inserter(apart));
  return apart.size();
}

class Parity : public testing::TestWithParam<DataType> {};

TEST_P(Parity, SamePacketsAndResiduals) {
  std::mt19937_64 random(3000 + variation());
  const BackendCase cases[] = {{"host", make_host_backend, {}, true},
                               {"cuda", make_cuda_backend, {}, false}};
  for (int round = 0; round < rounds(160); ++round) {
    Shape shape = random_shape(random, 40'000);
    shape.ranks = 2;
    shape.type = GetParam();
    if (shape.wire == DataType::float64) shape.wire = GetParam();
    SCOPED_TRACE(describe(shape));
    std::vector<std::vector<Rig>> worlds;
    for (const BackendCase& backend : cases) {
      auto& ranks = worlds.emplace_back();
      for (int r = 0; r < 2; ++r) ranks.emplace_back(backend, plan_of(shape, r));
    }
    for (std::uint64_t t = 0; t < 3; ++t) {
      const auto gradients = random_gradients(shape, random);
      for (auto& ranks : worlds) {
        for (std::size_t r = 0; r < 2; ++r) ranks[r].produce(gradients[r], 1.0, t);
        exchange(ranks);
      }
      bool same = true;
      for (std::size_t r = 0; r < 2; ++r) {
        const int rank = static_cast<int>(r);
        ASSERT_LE(differences(worlds[0][r].positions(rank), worlds[1][r].positions(rank)),
                  shape.mu == 0 ? 0u : 2u);
        same = same && worlds[0][r].positions(rank) == worlds[1][r].positions(rank);
      }
      if (!same) break;  // from here on the two are on different ways
      for (std::size_t r = 0; r < 2; ++r) {
        ASSERT_EQ(worlds[0][r].slot(0), worlds[1][r].slot(0)) << "step " << t;
        ASSERT_EQ(worlds[0][r].residual(), worlds[1][r].residual()) << "step " << t;
        const Merged host = worlds[0][r].merge(worlds[0][r].check());
        const Merged device = worlds[1][r].merge(worlds[1][r].check());
        ASSERT_EQ(host.bytes, device.bytes) << "step " << t;
        ASSERT_EQ(worlds[0][r].history(), worlds[1][r].history()) << "step " << t;
      }
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Types, Parity, testing::ValuesIn(floating_types),
                         [](const auto& test) { return std::string(name_of(test.param)); });

}  // namespace
}  // namespace sparccl::test
