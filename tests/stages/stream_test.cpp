// Results that go past the caches: every alignment of the output, tiles that end early, and scratch
// that must be clean again afterwards.
#include <cstring>
#include <random>

#include <gtest/gtest.h>

#include "data.hpp"
#include "rig.hpp"

namespace sparccl::test {
namespace {

class Stream : public testing::TestWithParam<DataType> {};

TEST_P(Stream, WritesEveryAlignment) {
  const std::size_t width = size_of(GetParam());
  for (const std::size_t more : {1, 30'000}) {
    for (const Reduction reduction : {Reduction::sum, Reduction::avg}) {
      const std::size_t count = (std::size_t{1} << 20) / width + more;
      const Shape shape{.ranks = 2,
                        .count = count,
                        .k = count / 40,
                        .type = GetParam(),
                        .wire = GetParam(),
                        .reduction = reduction};
      Oracle oracle(shape);
      // Whole runs of entries and lone ones, the first and the last of the tensor among them.
      std::vector<Vector> gradients = {make_data(Pattern::clusters, count, GetParam(), 1),
                                       make_data(Pattern::gaussian, count, GetParam(), 2)};
      gradients[0].front() = gradients[1].back() = 50;
      const Bytes expected = to_bytes(GetParam(), oracle.step(gradients).result);
      for (const BackendCase& backend : backends()) {
        std::vector<Rig> ranks;
        for (int r = 0; r < 2; ++r) ranks.emplace_back(backend, plan_of(shape, r));
        for (std::size_t r = 0; r < 2; ++r) ranks[r].produce(gradients[r]);
        exchange(ranks);
        Rig& rank = ranks[0];
        const Verdict verdict = rank.check();
        for (std::size_t shift = 0; shift <= 64 / width; ++shift) {
          SCOPED_TRACE(testing::Message() << backend.name << " n " << count << " shift " << shift
                                          << " " << name_of(reduction));
          const Merged merged = rank.merge(verdict, Rig::Into::dense, reduction, shift);
          ASSERT_TRUE(merged.canaries);
          ASSERT_EQ(merged.bytes, expected);
        }
        const Merged sparse = rank.merge(verdict, Rig::Into::sparse, reduction);
        ASSERT_EQ(sparse.positions.size(), sparse.values.size());
        for (std::size_t i = 0; i < sparse.positions.size(); ++i) {
          ASSERT_EQ(sparse.values[i], load(GetParam(), expected.data(), sparse.positions[i]));
        }
      }
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Types, Stream, testing::ValuesIn(floating_types),
                         [](const auto& test) { return std::string(name_of(test.param)); });

}  // namespace
}  // namespace sparccl::test
