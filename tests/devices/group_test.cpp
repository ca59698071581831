// Calls that are carried out together: several ranks of one thread, several tensors.
#include <gtest/gtest.h>
#include <nccl.h>

#include <sparccl/nccl.hpp>

#include "device_rank.hpp"

namespace sparccl::test {
namespace {

const Shape shape{.ranks = 4, .count = 9'000, .k = 90, .mu = 2};

/// A thread for each rank waits for its stream, as the device's own engines would go on.
void finish(std::vector<std::unique_ptr<DeviceRank>>& ranks) {
  run_ranks(
      static_cast<int>(ranks.size()),
      [&](int rank) { ranks[static_cast<std::size_t>(rank)]->finish(); }, [] {});
}

TEST(Groups, LetOneThreadDriveAllRanks) {
  World grouped(shape), apart(shape);
  std::vector<std::unique_ptr<DeviceRank>> ranks;
  for (int r = 0; r < shape.ranks; ++r) {
    ranks.push_back(std::make_unique<DeviceRank>(grouped.tensor(r), r));
  }
  for (std::size_t t = 0; t < 4; ++t) {
    std::vector<Bytes> expected(4);
    apart.each([&](SparseAllreduce& tensor, int rank) {
      expected[static_cast<std::size_t>(rank)] = run(tensor, gradient_of(shape, rank, t));
    });
    for (int r = 0; r < shape.ranks; ++r) {
      ranks[static_cast<std::size_t>(r)]->set(gradient_of(shape, r, t));
    }
    Group outer;
    Group inner;
    for (auto& rank : ranks) rank->call();
    inner.end();  // the outermost counts
    outer.end();
    finish(ranks);
    for (int r = 0; r < shape.ranks; ++r) {
      EXPECT_EQ(ranks[static_cast<std::size_t>(r)]->get(), expected[static_cast<std::size_t>(r)]);
    }
  }
  EXPECT_EQ(grouped.states(), apart.states());
  while (!ranks.empty()) ranks.pop_back();  // each puts the device back that was present before
}

/// The way of a program without threads: NCCL's communicators for all devices, then ours.
TEST(Groups, NeedNoThreads) {
  simt::set_device_count(64);
  std::vector<ncclComm_t> users(3);
  ASSERT_EQ(ncclCommInitAll(users.data(), 3, nullptr), ncclSuccess);
  const std::vector<Communicator> ranks = nccl_communicators(users);
  for (const ncclComm_t comm : users) ASSERT_EQ(ncclCommDestroy(comm), ncclSuccess);
  const Shape three{.ranks = 3, .count = 1'000, .k = 1'000};
  std::vector<std::unique_ptr<SparseAllreduce>> tensors;
  std::vector<std::unique_ptr<DeviceRank>> on;
  for (int r = 0; r < 3; ++r) {
    EXPECT_EQ(ranks[static_cast<std::size_t>(r)].rank(), r);
    tensors.push_back(std::make_unique<SparseAllreduce>(
        ranks[static_cast<std::size_t>(r)], "t", 1'000, DataType::float32, options_of(three)));
    on.push_back(std::make_unique<DeviceRank>(*tensors.back(), r));
    on.back()->set(to_bytes(DataType::float32, Vector(1'000, r + 1.0)));
  }
  Group group;
  for (auto& rank : on) rank->call();
  group.end();
  finish(on);
  for (auto& rank : on) EXPECT_EQ(rank->get(), to_bytes(DataType::float32, Vector(1'000, 6.0)));
  while (!on.empty()) on.pop_back();
  const std::vector<ncclComm_t> none(1, nullptr);
  expect_error([&] { static_cast<void>(nccl_communicators(none)); }, Result::invalid_argument,
               {"communicator 0"});
}

TEST(Groups, HoldSparseAndDenseCallsOfOneCommunicator) {
  std::vector<Communicator> communicators = make_ranks(2);
  std::vector<std::vector<float>> found(2);
  on_each(communicators, [&](Communicator& communicator) {
    const int rank = communicator.rank();
    const cuda::DeviceGuard device(rank);
    SparseAllreduce a(communicator, "a", 300, DataType::float32, {.k = 300});
    SparseAllreduce b(communicator, "b", 100, DataType::float32, {.k = 100});
    Backend& backend = communicator.impl()->backend();
    const std::vector<float> ones(300, static_cast<float>(rank + 1));
    const Backend::Buffer buffer = backend.allocate(3 * 1200);
    auto* const at = static_cast<float*>(buffer.get());
    for (int i = 0; i < 3; ++i) backend.upload(at + 300 * i, ones.data(), 1200);
    for (int t = 0; t < 2; ++t) {
      Group group;
      a(at, at);
      b(at + 300, at + 300);
      communicator.all_reduce(at + 600, at + 600, 300, DataType::float32, Reduction::sum);
      communicator.all_reduce(at + 600, at + 600, 300, DataType::float32, Reduction::max);
      group.end();
    }
    backend.finish(nullptr);
    auto& values = found[static_cast<std::size_t>(rank)];
    values.resize(900);
    backend.download(values.data(), at, 3600);
  });
  for (const std::vector<float>& values : found) {
    for (const std::size_t i : {0, 299, 300, 399, 600, 899}) {
      EXPECT_EQ(values[i], 6.0f) << i;  // 1 + 2, then 3 + 3
    }
  }
}

TEST(Groups, RefuseASparseResult) {
  const Shape one{.ranks = 1, .count = 100, .k = 1};
  World world(one);
  DeviceRank on(world.tensor(0), 0);
  std::uint64_t* positions = nullptr;
  const Backend::Buffer out = world.tensor(0).impl().communicator().backend().allocate(8);
  positions = static_cast<std::uint64_t*>(out.get());
  Group group;
  expect_error(
      [&] { static_cast<void>(world.tensor(0).sparse(on.gradient(), positions, on.result())); },
      Result::invalid_usage, {"fc1.weight", "group"});
  group.end();
  expect_error([&] { group.end(); }, Result::invalid_usage, {"ended"});
}

/// Without end() the calls are forgotten, and the tensors are as before.
TEST(Groups, ForgetCallsThatWereNotEnded) {
  const Shape one{.ranks = 1, .count = 100, .k = 1};
  World world(one);
  DeviceRank on(world.tensor(0), 0);
  on.set(gradient_of(one, 0, 0));
  const auto before = world.states();
  {
    Group group;
    on.call();
  }
  on.finish();
  EXPECT_EQ(world.states(), before);
  on.call();
  on.finish();
  EXPECT_NE(world.states(), before);
}

TEST(Groups, TakeATensorOnce) {
  const Shape one{.ranks = 1, .count = 100, .k = 1};
  World world(one);
  DeviceRank on(world.tensor(0), 0);
  on.set(gradient_of(one, 0, 0));
  Group group;
  on.call();
  expect_error([&] { on.call(); }, Result::invalid_usage, {"fc1.weight", "group"});
  expect_error([&] { world.tensor(0).set_k(2); }, Result::invalid_usage, {"fc1.weight", "group"});
  expect_error([&] { world.tensor(0).load("nowhere"); }, Result::invalid_usage, {"group"});
  group.end();
  on.finish();
  EXPECT_EQ(world.tensor(0).stats().steps, 1u);
  world.tensor(0).set_k(2);
  on.call();
  on.finish();
}

TEST(Groups, LoseTheCallsOfATensorThatEnds) {
  const Shape one{.ranks = 1, .count = 100, .k = 1};
  World world(one);
  DeviceRank on(world.tensor(0), 0);
  Group group;
  on.call();
  {
    SparseAllreduce other(world.communicators()[0], "other", 100, DataType::float32);
    other(on.gradient(), on.result(), 1.0, on.stream());
  }
  group.end();
  on.finish();
  EXPECT_EQ(world.tensor(0).stats().steps, 1u);
}

/// An inner group that is left by an exception forgets its calls, and only its own.
TEST(Groups, ForgetInnerCallsAlone) {
  const Shape one{.ranks = 1, .count = 100, .k = 1};
  World first(one), second(one);
  DeviceRank on_first(first.tensor(0), 0), on_second(second.tensor(0), 0);
  Group outer;
  on_first.call();
  {
    Group inner;
    on_second.call();
  }
  outer.end();
  on_first.finish();
  on_second.finish();
  EXPECT_EQ(first.tensor(0).stats().steps, 1u);
  EXPECT_EQ(second.tensor(0).stats().steps, 0u);
}

}  // namespace
}  // namespace sparccl::test
