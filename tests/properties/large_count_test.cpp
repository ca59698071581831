// Tensors of more than 2^32 entries: the arithmetic, without the tensor.
#include <cstring>
#include <limits>

#include <gtest/gtest.h>

#include "plan.hpp"
#include "wire.hpp"
#include "world.hpp"

namespace sparccl::test {
namespace {

constexpr std::size_t large = (std::size_t{1} << 33) + 5;

TEST(LargeCount, PlansAreMadeIn64Bits) {
  const Plan plan = make_plan("t", large, DataType::float32, {.density = 0.001}, {0, 4});
  EXPECT_EQ(plan.count, large);
  EXPECT_EQ(plan.k, 8'589'935u);
  EXPECT_EQ(plan.blocks(), (std::size_t{1} << 17) + 1);
  EXPECT_EQ(plan.sparse_capacity(), 4 * plan.k);
  const Plan all = make_plan("t", large, DataType::float32, {.density = 1.0}, {0, 4});
  EXPECT_EQ(all.k, large);
  EXPECT_EQ(all.sparse_capacity(), large);
  const Plan exact = make_plan("t", large, DataType::float32, {.k = large - 1}, {3, 1'000'000});
  EXPECT_EQ(exact.sparse_capacity(), large);
  const Plan most = make_plan("t", wire::max_count, DataType::float64, {.density = 1.0}, {0, 64});
  EXPECT_EQ(most.k, wire::max_count);
  EXPECT_EQ(most.blocks(), std::size_t{1} << 32);
}

TEST(LargeCount, LayoutsAreMadeIn64Bits) {
  for (const DataType wire_type : floating_types) {
    const DataType type = wire_type == DataType::float64 ? wire_type : DataType::float32;
    for (const double density : {1e-9, 0.001, 0.37, 1.0}) {
      const Plan plan =
          make_plan("t", large, type, {.density = density, .wire = wire_type}, {0, 64});
      const wire::Layout layout = wire::layout(plan);
      EXPECT_EQ(layout.per_block, 128u);
      EXPECT_GE(layout.offsets, layout.per_block + plan.blocks() * 4);
      EXPECT_GE(layout.values, layout.offsets + plan.k * 2);
      EXPECT_GE(layout.bytes, layout.values + plan.k * size_of(wire_type));
      EXPECT_LE(layout.bytes, 128 + plan.blocks() * 4 + plan.k * (2 + size_of(wire_type)) + 80);
      EXPECT_EQ(layout.offsets % 8, 0u);
      EXPECT_EQ(layout.values % 8, 0u);
      EXPECT_EQ(layout.bytes % 64, 0u);
    }
  }
  // Packets of all ranks together that do not fit 64 bits.
  const Plan most = make_plan("t", wire::max_count, DataType::float64, {.density = 1.0},
                              {0, std::numeric_limits<int>::max()});
  expect_error([&] { static_cast<void>(wire::layout(most)); }, Result::invalid_argument,
               {"64 bits"});
}

/// Packets and block tables need memory, the tensor does not: positions on both sides of 2^32 are
/// checked and merged into a sparse result.
TEST(LargeCount, PacketsAreCheckedAndMerged) {
  const Positions lists[] = {
      {0, 70'000, (std::uint64_t{1} << 32) - 1, std::uint64_t{1} << 32, large - 1},
      {1, 70'000, std::uint64_t{1} << 32, (std::uint64_t{1} << 32) + 65'536, large - 1}};
  const Plan plan = make_plan("t", large, DataType::float32, {.k = 5, .mu = 2}, {1, 2});
  const std::unique_ptr<Backend> backend = make_host_backend();
  const wire::Layout layout = wire::layout(plan);
  const Backend::Buffer slots = backend->allocate(2 * layout.bytes);
  std::vector<Packet> packets;
  for (std::size_t r = 0; r < 2; ++r) {
    auto* slot = static_cast<std::byte*>(slots.get()) + r * layout.bytes;
    wire::write_identity(plan, 3, slot);
    packets.push_back(wire::view(plan, slot));
    *packets[r].entries = 5;
    for (std::size_t i = 0; i < 5; ++i) {
      ++packets[r].per_block[lists[r][i] / block_size];
      packets[r].offsets[i] = static_cast<std::uint16_t>(lists[r][i] % block_size);
      static_cast<float*>(packets[r].values)[i] = static_cast<float>(10 * r + i);
    }
  }
  const Backend::Buffer per_block = backend->allocate(plan.blocks() * 4);
  const Backend::Buffer offsets = backend->allocate(5 * 2);
  const Backend::Buffer ratios = backend->allocate(5 * 4);
  const Backend::Buffer work = backend->allocate(backend->workspace_bytes(plan));
  std::uint64_t step = 3, call = 3;
  Report totals, report;
  const Memory memory{nullptr,
                      static_cast<std::uint32_t*>(per_block.get()),
                      static_cast<std::uint16_t*>(offsets.get()),
                      ratios.get(),
                      &step,
                      &call,
                      &totals,
                      &report};
  backend->check(plan, {}, memory, work.get(), packets);
  const Verdict verdict = report.verdict;
  ASSERT_EQ(verdict.kind, Verdict::Kind::sum) << text_of(verdict.problem);

  Positions positions(plan.sparse_capacity());
  std::vector<float> values(plan.sparse_capacity());
  backend->merge(plan, {}, memory, work.get(), packets,
                 {.positions = positions.data(), .values = values.data()});
  positions.resize(report.written);
  values.resize(report.written);
  EXPECT_EQ(positions,
            (Positions{0, 1, 70'000, (std::uint64_t{1} << 32) - 1, std::uint64_t{1} << 32,
                       (std::uint64_t{1} << 32) + 65'536, large - 1}));
  EXPECT_EQ(values, (std::vector<float>{0, 10, 12, 2, 15, 13, 18}));
  EXPECT_EQ(memory.sent_per_block[65'536], 1u);
  EXPECT_EQ(memory.sent_per_block[65'537], 1u);
  EXPECT_EQ(memory.sent_offsets[4], 4u);

  // The last block has five entries.
  packets[0].offsets[4] = 5;
  EXPECT_EQ(check_on_host(plan, packets).kind, Verdict::Kind::bad_packet);
}

TEST(LargeCount, AllgatherMovesPositionsPast32Bits) {
  on_local_ranks(2, [](Communicator& communicator) {
    SparseAllgather gather(communicator, "embedding", large, DataType::float32, 3);
    const Positions positions = {7, std::uint64_t{1} << 32, large - 1};
    const std::vector<float> values = {1, 2, 3};
    gather(positions, values.data());
    for (int r = 0; r < 2; ++r) {
      const auto seen = gather.positions(r);
      EXPECT_EQ(Positions(seen.begin(), seen.end()), positions);
    }
  });
}

/// What no machine has is refused by name and size.
TEST(LargeCount, MemoryThatIsNotThereIsAnError) {
  const std::unique_ptr<Backend> backend = make_host_backend();
  expect_error([&] { static_cast<void>(backend->allocate(~std::size_t{0} - 5)); },
               Result::system_error, {"memory"});
}

}  // namespace
}  // namespace sparccl::test
