// Tensors in device memory over the local transport.
#include <gtest/gtest.h>

#include <numeric>
#include <thread>

#include "communicator.hpp"
#include "cuda/runtime.hpp"
#include "simt.hpp"
#include "transport/staged.hpp"

namespace sparccl::test {
namespace {

class Staged : public testing::Test {
 protected:
  void SetUp() override { before_ = simt::live(); }
  void TearDown() override { EXPECT_EQ(before_, simt::live()); }

 private:
  simt::Live before_;
};

void on_ranks(int size, const std::function<void(int rank, Communicator host)>& work,
              std::uint64_t timeout_ms = 0) {
  const auto ranks = Communicator::local(size, {timeout_ms});
  std::vector<std::thread> threads;
  for (int rank = 0; rank < size; ++rank) {
    threads.emplace_back([&, rank] {
      cuda::check(cudaSetDevice(rank % 4));
      work(rank, ranks[static_cast<std::size_t>(rank)]);
    });
  }
  for (std::thread& thread : threads) thread.join();
}

/// [count] of device memory.
template <class T>
class Array {
 public:
  explicit Array(const std::vector<T>& values) : count_(values.size()) {
    cuda::check(cudaMalloc(&data_, count_ * sizeof(T)));
    cuda::check(cudaMemcpy(data_, values.data(), count_ * sizeof(T), cudaMemcpyHostToDevice));
  }
  ~Array() { static_cast<void>(cudaFree(data_)); }
  Array(const Array&) = delete;
  Array& operator=(const Array&) = delete;
  [[nodiscard]] T* get() const { return static_cast<T*>(data_); }
  [[nodiscard]] std::vector<T> values() const {
    std::vector<T> copy(count_);
    cuda::check(cudaMemcpy(copy.data(), data_, count_ * sizeof(T), cudaMemcpyDeviceToHost));
    return copy;
  }

 private:
  void* data_ = nullptr;
  std::size_t count_;
};

std::vector<int> slots(int size, int only, std::size_t count, int call) {
  std::vector<int> all;
  for (int rank = 0; rank < size; ++rank) {
    for (std::size_t i = 0; i < count; ++i) {
      all.push_back(only >= 0 && rank != only ? -1
                                              : call * 100'000 + rank * 1000 + static_cast<int>(i));
    }
  }
  return all;
}

TEST_F(Staged, GathersDeviceMemory) {
  for (const int size : {1, 2, 3, 8}) {
    on_ranks(size, [&](int rank, Communicator host) {
      StagedTransport transport(host);
      const cuda::OwnStream stream;
      EXPECT_FALSE(transport.asynchronous());
      EXPECT_EQ(rank, transport.rank());
      EXPECT_EQ(size, transport.size());
      int call = 0;
      for (const std::size_t count : {34u, 900u, 3u, 5000u}) {  // grows, shrinks, grows
        const Array<int> data(slots(size, rank, count, ++call));
        if (count < 1000) {
          transport.meet(data.get(), count * sizeof(int), stream.get());
        } else {
          transport.all_gather(data.get(), count * sizeof(int), stream.get());
        }
        cuda::check(cudaStreamSynchronize(stream.get()));
        EXPECT_EQ(slots(size, -1, count, call), data.values());
      }
    });
  }
}

TEST_F(Staged, AnotherStreamDoesNotOverwriteWhatIsStillBeingCopied) {
  on_ranks(2, [&](int rank, Communicator host) {
    StagedTransport transport(host);
    const cuda::OwnStream first, second;
    for (int call = 1; call < 20; ++call) {
      const Array<int> a(slots(2, rank, 100, 2 * call)), b(slots(2, rank, 70, 2 * call + 1));
      transport.all_gather(a.get(), 400, first.get());
      transport.all_gather(b.get(), 280, second.get());
      cuda::check(cudaStreamSynchronize(second.get()));
      cuda::check(cudaStreamSynchronize(first.get()));
      ASSERT_EQ(slots(2, -1, 100, 2 * call), a.values());
      ASSERT_EQ(slots(2, -1, 70, 2 * call + 1), b.values());
    }
  });
}

TEST_F(Staged, ReducesInPieces) {
  const std::size_t count = (std::size_t{36} << 20) / sizeof(float);  // more than one of 32 MiB
  on_ranks(2, [&](int rank, Communicator host) {
    StagedTransport transport(host);
    const cuda::OwnStream stream;
    std::vector<float> own(count);
    for (std::size_t i = 0; i < count; ++i)
      own[i] = static_cast<float>(i % 1000) + static_cast<float>(rank);
    const Array<float> send(own), recv(std::vector<float>(count, -1.0f));
    transport.all_reduce(send.get(), recv.get(), count, DataType::float32, Reduction::sum,
                         stream.get());
    cuda::check(cudaStreamSynchronize(stream.get()));
    const auto sums = recv.values();
    std::size_t wrong = 0;
    for (std::size_t i = 0; i < count; ++i) {
      wrong += sums[i] != 2.0f * static_cast<float>(i % 1000) + 1.0f ? 1 : 0;
    }
    EXPECT_EQ(0u, wrong);
    EXPECT_EQ(own, send.values());
  });
}

/// Entry i of rank `rank`: small integers, of which any sum is exact.
std::vector<float> tensor_of(int rank, std::size_t count) {
  std::vector<float> values(count);
  for (std::size_t i = 0; i < count; ++i)
    values[i] = static_cast<float>(i % 100 + 1) * static_cast<float>(rank + 1);
  return values;
}

/// members: the ranks of the whole that are the transport's.
void expect_slots(StagedTransport& transport, const std::vector<int>& members, std::size_t count) {
  const cuda::OwnStream stream;
  const auto size = members.size();
  const auto place = static_cast<std::size_t>(transport.rank());
  ASSERT_EQ(static_cast<int>(size), transport.size());
  std::vector<int> letters, expected_letters;
  for (const int other : members) {
    for (std::size_t i = 0; i < count; ++i) {
      letters.push_back(members[place] * 1'000'000 + other * 100'000 +
                        static_cast<int>(i % 99'999));
      expected_letters.push_back(other * 1'000'000 + members[place] * 100'000 +
                                 static_cast<int>(i % 99'999));
    }
  }
  const Array<int> send(letters), recv(std::vector<int>(letters.size(), -1));
  transport.all_to_all(send.get(), recv.get(), count * sizeof(int), stream.get());
  cuda::check(cudaStreamSynchronize(stream.get()));
  EXPECT_TRUE(expected_letters == recv.values()) << count << " entries of rank " << members[place];
  EXPECT_TRUE(letters == send.values());
}

void expect_shards(StagedTransport& transport, const std::vector<int>& members, std::size_t count) {
  const cuda::OwnStream stream;
  const auto size = members.size();
  const auto place = static_cast<std::size_t>(transport.rank());
  const Shard shard(count, transport.size(), transport.rank());
  const Array<float> dense(tensor_of(members[place], count)),
      sum(std::vector<float>(count + 1, -1.0f));
  transport.reduce_scatter(dense.get(), sum.get(), count, DataType::float32, stream.get());
  cuda::check(cudaStreamSynchronize(stream.get()));
  float ranks = 0;
  for (const int member : members) ranks += static_cast<float>(member + 1);
  std::vector<float> expected(count + 1, -1.0f);
  for (std::size_t i = 0; i < shard.count; ++i) {
    expected[i] = static_cast<float>((shard.begin + i) % 100 + 1) * ranks;
  }
  EXPECT_TRUE(expected == sum.values()) << count << " entries of rank " << members[place];

  std::vector<float> shards(count, -1.0f), all;
  for (std::size_t r = 0; r < size; ++r) {
    const Shard each(count, transport.size(), static_cast<int>(r));
    for (std::size_t i = each.begin; i < each.begin + each.count; ++i) {
      all.push_back(static_cast<float>(i % 1000) + 1000.0f * static_cast<float>(members[r]));
      if (r == place) shards[i] = all.back();
    }
  }
  const Array<float> data(shards);
  transport.all_gather_shards(data.get(), count, sizeof(float), stream.get());
  cuda::check(cudaStreamSynchronize(stream.get()));
  EXPECT_TRUE(all == data.values()) << count << " entries of rank " << members[place];
}

void expect_exchanges(StagedTransport& transport, const std::vector<int>& members,
                      std::size_t count) {
  expect_slots(transport, members, count);
  expect_shards(transport, members, count);
}

TEST_F(Staged, SlotsAndShards) {
  for (const int size : {1, 2, 3, 4}) {
    on_ranks(size, [&](int, Communicator host) {
      StagedTransport transport(host);
      std::vector<int> all;
      for (int r = 0; r < size; ++r) all.push_back(r);
      for (const std::size_t count : {0u, 1u, 3u, 900u, 5003u}) {
        expect_exchanges(transport, all, count);
      }
    });
  }
}

TEST_F(Staged, SlotsAndShardsInPieces) {
  constexpr std::size_t mebibyte = (std::size_t{1} << 20) / sizeof(int);  // 16 of a rank at a time
  on_ranks(2, [&](int, Communicator host) {
    StagedTransport transport(host);
    expect_slots(transport, {0, 1}, 17 * mebibyte + 1);
    expect_shards(transport, {0, 1}, 2 * 17 * mebibyte + 1);
  });
}

TEST_F(Staged, GroupsOfTheHostsGroups) {
  on_ranks(4, [&](int rank, Communicator host) {
    StagedTransport transport(host);
    EXPECT_EQ((std::vector<int>{0, 0, 0, 0}), transport.nodes());
    const auto inside = transport.group(rank / 2);
    const auto across = transport.group(rank % 2);
    for (int round = 0; round < 3; ++round) {
      expect_exchanges(dynamic_cast<StagedTransport&>(*inside), {rank / 2 * 2, rank / 2 * 2 + 1},
                       101);
      expect_exchanges(dynamic_cast<StagedTransport&>(*across), {rank % 2, rank % 2 + 2}, 102);
      expect_exchanges(transport, {0, 1, 2, 3}, 103);
    }
  });
}

TEST_F(Staged, AbortOfAGroupReachesTheHosts) {
  on_ranks(4, [&](int rank, Communicator host) {
    StagedTransport transport(host);
    const auto group = transport.group(rank / 2);
    const Array<int> data({1, 2, 3, 4});
    if (rank == 3) return group->abort();
    try {
      (rank == 0 ? *group : static_cast<Transport&>(transport)).meet(data.get(), 4, nullptr);
      ADD_FAILURE();
    } catch (const Error& error) {
      EXPECT_EQ(Result::aborted, error.code()) << error.what();
    }
  });
}

TEST_F(Staged, RefusesACapture) {
  on_ranks(1, [&](int, Communicator host) {
    StagedTransport transport(host);
    const cuda::OwnStream stream;
    const Array<int> data({1, 2, 3});
    cuda::check(cudaStreamBeginCapture(stream.get(), cudaStreamCaptureModeThreadLocal));
    for (int which = 0; which < 6; ++which) {
      try {
        if (which == 0) transport.meet(data.get(), 12, stream.get());
        if (which == 1) transport.all_gather(data.get(), 12, stream.get());
        if (which == 2) {
          transport.all_reduce(data.get(), data.get(), 3, DataType::int32, Reduction::sum,
                               stream.get());
        }
        if (which == 3) transport.all_to_all(data.get(), data.get(), 12, stream.get());
        if (which == 4) {
          transport.reduce_scatter(data.get(), data.get(), 3, DataType::int32, stream.get());
        }
        if (which == 5) transport.all_gather_shards(data.get(), 3, 4, stream.get());
        ADD_FAILURE() << which;
      } catch (const Error& error) {
        EXPECT_EQ(Result::invalid_usage, error.code());
        EXPECT_NE(std::string::npos, std::string(error.what()).find("CUDA graphs need an NCCL"));
      }
    }
    cudaGraph_t graph = nullptr;
    EXPECT_EQ(cudaSuccess, cudaStreamEndCapture(stream.get(), &graph));
    cuda::check(cudaGraphDestroy(graph));
  });
}

TEST_F(Staged, FailuresOfTheHostsAreThrown) {
  on_ranks(
      2,
      [&](int rank, Communicator host) {
        StagedTransport transport(host);
        const Array<int> data({1, 2});
        if (rank == 1) return;
        try {
          transport.meet(data.get(), 4, nullptr);
          ADD_FAILURE();
        } catch (const Error& error) {
          EXPECT_EQ(Result::timeout, error.code()) << error.what();
        }
      },
      100);
}

TEST_F(Staged, AbortAndGivingUpReachTheHosts) {
  for (const bool abort : {true, false}) {
    on_ranks(2, [&](int rank, Communicator host) {
      StagedTransport transport(host);
      const Array<int> data({1, 2});
      if (rank == 1) {
        if (abort) {
          transport.abort();
        } else {
          transport.give_up(Result::bad_packet);
        }
        return;
      }
      try {
        transport.meet(data.get(), 4, nullptr);
        ADD_FAILURE();
      } catch (const Error& error) {
        EXPECT_EQ(abort ? Result::aborted : Result::remote_error, error.code()) << error.what();
      }
    });
  }
}

/// A transport whose failures leave it with the buffers, and that may take device memory.
class Keeper final : public Transport {
 public:
  explicit Keeper(bool takes_device_memory) : takes_device_memory_(takes_device_memory) {}
  [[nodiscard]] int rank() const noexcept override { return 0; }
  [[nodiscard]] int size() const noexcept override { return 1; }
  void all_gather(void* slots, std::size_t bytes, Stream) override { take(slots, bytes); }
  void meet(void* slots, std::size_t bytes, Stream) override { take(slots, bytes); }
  void all_reduce(const void* send, void*, std::size_t count, DataType, Reduction,
                  Stream) override {
    take(send, count);
  }
  void all_to_all(const void* send, void*, std::size_t bytes, Stream) override {
    take(send, bytes);
  }
  void reduce_scatter(const void* send, void*, std::size_t count, DataType, Stream) override {
    take(send, count);
  }
  void all_gather_shards(void* data, std::size_t count, std::size_t, Stream) override {
    take(data, count);
  }
  [[nodiscard]] std::vector<int> nodes() override { return {0}; }
  [[nodiscard]] std::unique_ptr<Transport> group(int) override {
    return std::make_unique<Keeper>(takes_device_memory_);
  }
  void give_up(Result) noexcept override {}
  void abort() noexcept override {}
  [[nodiscard]] bool keeps_buffers_after_failure() const noexcept override { return true; }
  [[nodiscard]] bool takes_device_memory() const noexcept override { return takes_device_memory_; }

  static inline const void* last = nullptr;
  static inline bool fails = false;

 private:
  static void take(const void* slots, std::size_t) {
    last = slots;
    if (fails) throw Error(Result::timeout, "made to fail");
  }
  bool takes_device_memory_;
};

TEST_F(Staged, DeviceMemoryIsTakenDirectlyWhereItCanBe) {
  for (const bool direct : {false, true}) {
    Keeper::fails = false;
    StagedTransport transport(Communicator(std::make_unique<Keeper>(direct)));
    const Array<int> data({1, 2});
    transport.all_gather(data.get(), 8, nullptr);
    EXPECT_EQ(direct, Keeper::last == data.get());
    transport.meet(data.get(), 8, nullptr);
    EXPECT_NE(data.get(), Keeper::last);
    transport.all_reduce(data.get(), data.get(), 2, DataType::int32, Reduction::sum, nullptr);
    EXPECT_NE(data.get(), Keeper::last);
    cuda::check(cudaStreamSynchronize(nullptr));
    EXPECT_EQ(direct, transport.keeps_buffers_after_failure());
  }
}

TEST(StagedFailure, BuffersThatMpiMayStillUseAreNeverFreed) {
  const std::size_t before = simt::live().pinned_allocations;
  {
    Keeper::fails = true;
    StagedTransport transport(Communicator(std::make_unique<Keeper>(false)));
    const Array<int> data({1, 2});
    EXPECT_THROW(transport.all_gather(data.get(), 8, nullptr), Error);
    const Array<int> more({3, 4});
    EXPECT_THROW(transport.all_to_all(data.get(), more.get(), 8, nullptr), Error);
    EXPECT_THROW(transport.reduce_scatter(data.get(), more.get(), 2, DataType::int32, nullptr),
                 Error);
    EXPECT_THROW(transport.all_gather_shards(data.get(), 2, 4, nullptr), Error);
    Keeper::fails = false;
    const void* const kept = Keeper::last;
    transport.all_gather(data.get(), 8, nullptr);
    EXPECT_NE(kept, Keeper::last);
    cuda::check(cudaStreamSynchronize(nullptr));
  }
  EXPECT_EQ(before + 4, simt::live().pinned_allocations);
}

}  // namespace
}  // namespace sparccl::test
