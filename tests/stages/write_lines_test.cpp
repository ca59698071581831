// Whole cache lines past the caches: what is set moves, the rest becomes zero, nothing else
// changes.
#include <algorithm>
#include <cstring>
#include <random>
#include <vector>

#include <gtest/gtest.h>

#include "host/simd.hpp"
#include "host/stream.hpp"
#include "rig.hpp"

namespace sparccl::test {
namespace {

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

/// Any address and length, nothing besides; short ones are not streamed.
TEST(WriteZeros, ZeroesJustWhatItIsGiven) {
  constexpr std::byte before{0xcc};
  for (const host::Simd* table : tables()) {
    for (const std::size_t bytes : {std::size_t{0}, std::size_t{3}, host::stream_from_bytes - 1,
                                    host::stream_from_bytes, 3 * host::stream_from_bytes + 77}) {
      for (const std::size_t skew : {0, 1, 63, 64}) {
        Bytes memory(64 + skew + bytes + 64, before);
        const std::size_t begin = 64 + skew;
        host::write_zeros(*table, memory.data() + begin, bytes);
        const auto wrong = [&](std::size_t from, std::size_t to, std::byte expected) {
          return std::count_if(memory.begin() + static_cast<std::ptrdiff_t>(from),
                               memory.begin() + static_cast<std::ptrdiff_t>(to),
                               [&](std::byte found) { return found != expected; });
        };
        EXPECT_EQ(wrong(begin, begin + bytes, std::byte{0}), 0) << table->name << " " << bytes;
        EXPECT_EQ(wrong(0, begin, before), 0) << table->name << " " << bytes;
        EXPECT_EQ(wrong(begin + bytes, memory.size(), before), 0) << table->name << " " << bytes;
      }
    }
  }
}

}  // namespace
}  // namespace sparccl::test
