// Results that go past the caches: every alignment of the output, tiles that end early, and scratch
// that must be clean again afterwards.
#include <cstring>
#include <random>

#include <gtest/gtest.h>

#include "data.hpp"
#include "host/simd.hpp"
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

/// Each way to write lines, also those that a better one takes the place of on this processor.
std::vector<const host::Simd*> tables() {
  std::vector<const host::Simd*> all;
  for (const char* name : {"portable", "avx2", "avx512"}) {
    if (const host::Simd* table = host::find_simd(name)) all.push_back(table);
  }
#if defined(__x86_64__)
  if (host::find_simd("avx2") != nullptr) all.push_back(&host::simd_avx2);
  if (host::find_simd("avx512") != nullptr) all.push_back(&host::simd_avx512);
#endif
  return all;
}

TEST(WriteLines, MovesWhatIsSetAndZeroesTheRest) {
  constexpr std::size_t most = 200, margin = 64;
  constexpr std::byte before{0xcc};
  std::mt19937_64 random(5);
  struct alignas(64) Line {
    std::byte bytes[64];
  };
  for (const host::Simd* table : tables()) {
    for (int round = 0; round < 300; ++round) {
      const std::size_t lines = random() % (most + 1);
      const std::size_t skew = random() % 64 / 8 * 8;  // the source need not be aligned
      std::vector<Line> target(most + 2);
      std::memset(target.data(), int(before), target.size() * 64);
      Bytes source(margin + most * 64 + margin, std::byte{0});
      std::vector<std::uint64_t> set(most / 64 + 1);
      Bytes expected(target.size() * 64, before);
      for (std::size_t i = 0; i < lines; ++i) {
        const bool is_set = round % 3 == 0 ? random() % 20 == 0 : random() % 4 != 0;
        if (is_set) set[i / 64] |= std::uint64_t{1} << i % 64;
        for (std::size_t j = 0; j < 64; ++j) {
          const auto value = is_set ? std::byte(random() & 0xff) : std::byte{0};
          source[skew + i * 64 + j] = value;
          expected[(1 + i) * 64 + j] = value;
        }
      }
      table->write_lines(target.data() + 1, source.data() + skew, set.data(), lines);
      table->fence();
      ASSERT_EQ(std::memcmp(target.data(), expected.data(), expected.size()), 0) << table->name;
      ASSERT_EQ(source, Bytes(source.size(), std::byte{0})) << table->name << ": left behind";
    }
  }
}

}  // namespace
}  // namespace sparccl::test
