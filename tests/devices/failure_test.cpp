// What goes wrong after a call over NCCL has returned: nothing of it is silent, and nothing hangs.
#include <chrono>
#include <cmath>
#include <optional>
#include <thread>

#include <gtest/gtest.h>

#include <sparccl/nccl.hpp>

#include "cuda/cuda_backend.hpp"
#include "device_rank.hpp"
#include "fake_nccl.hpp"
#include "forwarding.hpp"
#include "simt.hpp"
#include "transport/nccl.hpp"

namespace sparccl::test {
namespace {

bool eventually(const std::function<bool()>& condition) {
  const auto start = std::chrono::steady_clock::now();
  while (!condition()) {
    if (std::chrono::steady_clock::now() - start > std::chrono::seconds(20)) return false;
    std::this_thread::sleep_for(std::chrono::milliseconds(2));
  }
  return true;
}

bool all_nan(const Bytes& bytes) {
  const Vector values = to_doubles(DataType::float32, bytes.data(), bytes.size() / 4);
  return std::all_of(values.begin(), values.end(), [](double x) { return std::isnan(x); });
}

class Failures : public testing::Test {
 protected:
  void SetUp() override { fakeNcclReset(); }
  void TearDown() override {
    EXPECT_STREQ("", fakeNcclMisuse());
    fakeNcclReset();
  }
};

/// The error is there, its sentence has the words, and the next call throws it.
void expect_failed(SparseAllreduce& tensor, DeviceRank& on, Result code,
                   const std::vector<std::string>& words) {
  Communicator::Impl& communicator = tensor.impl().communicator();
  ASSERT_TRUE(eventually([&] { return communicator.async_error() != Result::success; }));
  EXPECT_EQ(communicator.async_error(), code);
  const std::string text = communicator.async_error_text();
  for (const std::string& word : words) {
    EXPECT_NE(text.find(word), std::string::npos) << "no \"" << word << "\" in: " << text;
  }
  expect_error([&] { on.call(); }, code, words);
}

/// Another count, type, k or order: every rank hears which rank differs and what both called,
/// though the packets are of different sizes and the exchange of them is stuck.
TEST_F(Failures, RanksThatDisagree) {
  struct Case {
    std::size_t count;
    std::size_t k;
    const char* name;
  };
  for (const Case& other : {Case{900, 10, "t"}, Case{1'000, 20, "t"}, Case{1'000, 10, "u"}}) {
    SCOPED_TRACE(testing::Message() << other.count << " " << other.k << " " << other.name);
    std::vector<Communicator> ranks = make_ranks(3);
    on_each(ranks, [&](Communicator& communicator) {
      const bool differs = communicator.rank() == 1;
      SparseAllreduce tensor(communicator, differs ? other.name : "t",
                             differs ? other.count : 1'000, DataType::float32,
                             {.k = differs ? other.k : 10});
      DeviceRank on(tensor, communicator.rank());
      on.set(to_bytes(DataType::float32, make_integers(tensor.count(), 9, 1)));
      const Bytes before = state_of(tensor);
      bool returned = false;
      try {
        on.call();
        returned = true;
      } catch (
          const Error& error) {  // found by its kernel while the host was slow to enqueue the rest
        EXPECT_EQ(error.code(), Result::mismatch) << error.what();
      }
      on.finish();
      EXPECT_TRUE(!returned || all_nan(on.get()));
      EXPECT_EQ(state_of(tensor), before);
      expect_failed(tensor, on, Result::mismatch,
                    {"rank 1", "rank 0", "\"t\"", std::to_string(other.count), other.name});
    });
  }
}

/// Hands on what NCCL brings, but for a byte of the packets.
class Tampered final : public Forwarding {
 public:
  Tampered(std::unique_ptr<Transport> inner, int victim)
      : Forwarding(std::move(inner)), victim_(victim) {}

  void all_gather(void* slots, std::size_t bytes, Stream stream) override {
    Forwarding::all_gather(slots, bytes, stream);
    if (!armed) return;
    target_ = static_cast<std::byte*>(slots) + bytes * static_cast<std::size_t>(victim_) + 130;
    cuda::check(cudaLaunchHostFunc(
        static_cast<cudaStream_t>(stream),
        [](void* self) {
          const std::byte wrong{0x7f};
          simt::copy(static_cast<Tampered*>(self)->target_, &wrong, 1);
        },
        this));
  }

  bool armed = false;

 private:
  int victim_;
  std::byte* target_ = nullptr;
};

TEST_F(Failures, APacketThatIsNone) {
  simt::set_device_count(64);
  ncclUniqueId id;
  ASSERT_EQ(ncclGetUniqueId(&id), ncclSuccess);
  run_ranks(
      2,
      [&](int rank) {
        const cuda::DeviceGuard device(rank);
        ncclComm_t users = nullptr;
        ASSERT_EQ(ncclCommInitRank(&users, 2, id, rank), ncclSuccess);
        auto transport = std::make_unique<Tampered>(
            std::make_unique<NcclTransport>(users, CommunicatorOptions{}), 1);
        ASSERT_EQ(ncclCommDestroy(users), ncclSuccess);
        Tampered& tampered = *transport;
        const Communicator communicator(std::move(transport), make_cuda_backend());
        SparseAllreduce tensor(communicator, "conv.bias", 1'000, DataType::float32, {.k = 10});
        DeviceRank on(tensor, rank);
        on.set(to_bytes(DataType::float32, make_integers(1'000, 9, 1)));
        on.call();
        on.finish();
        const Bytes before = state_of(tensor);
        on.set(to_bytes(DataType::float32, make_integers(1'000, 9, 2)));
        tampered.armed = true;
        on.call();
        on.finish();
        EXPECT_TRUE(all_nan(on.get()));
        EXPECT_EQ(state_of(tensor), before);
        expect_failed(tensor, on, Result::bad_packet,
                      {"conv.bias", "rank 1", "bad packet", "table"});
      },
      [] {});
}

TEST_F(Failures, ACallOfNcclThatFails) {
  const Shape shape{.ranks = 1 + 1, .count = 1'000, .k = 10};
  World world(shape);
  world.each([&](SparseAllreduce& tensor, int rank) {
    DeviceRank on(tensor, rank);
    on.call();
    on.finish();
  });
  DeviceRank on(world.tensor(0), 0);
  on.set(to_bytes(DataType::float32, make_integers(1'000, 9, 1)));
  fakeNcclFailNext("ncclAllGather", ncclSystemError);
  const Bytes before = state_of(world.tensor(0));
  expect_error([&] { on.call(); }, Result::system_error, {"fc1.weight", "rank 0", "ncclAllGather"});
  on.finish();
  EXPECT_EQ(state_of(world.tensor(0)), before);
  expect_error([&] { on.call(); }, Result::system_error, {"earlier failure"});
}

TEST_F(Failures, AnErrorThatNcclReportsLater) {
  const Shape shape{.ranks = 2, .count = 1'000, .k = 10};
  World world(shape);
  world.each([&](SparseAllreduce& tensor, int rank) {
    DeviceRank on(tensor, rank);
    on.call();
    on.finish();
  });
  fakeNcclSetAsyncError(1, ncclRemoteError);
  DeviceRank on(world.tensor(1), 1);
  expect_failed(world.tensor(1), on, Result::remote_error, {"rank 1"});
}

/// A rank waits on the device for one that never calls; an abort from another thread ends that.
TEST_F(Failures, AnAbortEndsWhatIsStuck) {
  const Shape shape{.ranks = 2, .count = 1'000, .k = 10};
  World world(shape);
  world.each([&](SparseAllreduce& tensor, int rank) {  // NCCL connects
    DeviceRank on(tensor, rank);
    on.call();
    on.finish();
  });
  DeviceRank on(world.tensor(0), 0);
  on.set(to_bytes(DataType::float32, make_integers(1'000, 9, 1)));
  const Bytes before = state_of(world.tensor(0));
  on.call();
  std::thread other([&] {
    std::this_thread::sleep_for(std::chrono::milliseconds(100));
    world.communicators()[0].abort();
  });
  on.finish();  // goes on once the communicator is aborted
  other.join();
  EXPECT_EQ(world.communicators()[0].async_error(), Result::aborted);
  EXPECT_TRUE(all_nan(on.get()));
  EXPECT_EQ(state_of(world.tensor(0)), before);
  expect_error([&] { on.call(); }, Result::aborted, {"abort"});
}

std::vector<Communicator> ranks_with_timeout(int world_size, std::uint64_t timeout_ms) {
  simt::set_device_count(64);
  std::vector<ncclComm_t> users(static_cast<std::size_t>(world_size));
  EXPECT_EQ(ncclCommInitAll(users.data(), world_size, nullptr), ncclSuccess);
  std::vector<Communicator> ranks = nccl_communicators(users, {.timeout_ms = timeout_ms});
  for (const ncclComm_t comm : users) EXPECT_EQ(ncclCommDestroy(comm), ncclSuccess);
  return ranks;
}

/// The missing rank is the reason that is told, not what its old words look like to later kernels.
/// Nor do its old packets pass for new ones: the step before was taken back, so that this one has
/// the same number.
TEST_F(Failures, ARankThatDoesNotComeBack) {
  std::vector<Communicator> ranks = ranks_with_timeout(2, 300);
  std::vector<std::unique_ptr<SparseAllreduce>> tensors;
  for (const Communicator& rank : ranks) {
    tensors.push_back(std::make_unique<SparseAllreduce>(rank, "fc1.weight", 1'000,
                                                        DataType::float32, Options{.k = 10}));
  }
  on_each(ranks, [&](Communicator& communicator) {
    const int rank = communicator.rank();
    DeviceRank on(*tensors[static_cast<std::size_t>(rank)], rank);
    on.call();
    on.finish();
    Vector g = make_integers(1'000, 9, 1);
    if (rank == 0) g[7] = std::nan("");
    on.set(to_bytes(DataType::float32, g));
    on.call();
    on.finish();
    EXPECT_TRUE(all_nan(on.get()));
  });
  DeviceRank on(*tensors[0], 0);
  on.set(to_bytes(DataType::float32, make_integers(1'000, 9, 2)));
  const Bytes before = state_of(*tensors[0]);
  on.call();
  on.finish();
  EXPECT_TRUE(all_nan(on.get()));
  EXPECT_EQ(state_of(*tensors[0]), before);
  expect_failed(*tensors[0], on, Result::timeout, {"rank 0", "300 ms", "did not arrive"});
}

/// Trouble that ends the communicator while the host is in the next call is that call's reason.
TEST_F(Failures, KeepTheirReasonInTheNextCall) {
  std::vector<Communicator> ranks = make_ranks(2);
  on_each(ranks, [&](Communicator& communicator) {
    const int rank = communicator.rank();
    SparseAllreduce tensor(communicator, "t", rank == 0 ? 1'000 : 900, DataType::float32,
                           {.k = 10});
    DeviceRank on(tensor, rank);
    on.call();
    std::optional<Error> error;
    std::thread device([&] { on.finish(); });  // as a device would go on by itself
    while (!error) {
      try {
        on.call();
      } catch (const Error& caught) {
        error = caught;
      }
    }
    device.join();
    on.finish();
    EXPECT_EQ(error->code(), Result::mismatch) << error->what();
    EXPECT_EQ(communicator.async_error(), Result::mismatch);
  });
}

/// A communicator's dense calls may be on several streams.
TEST_F(Failures, AreNotSeenWhereStreamsDiffer) {
  std::vector<Communicator> ranks = make_ranks(2);
  on_each(ranks, [&](Communicator& communicator) {
    const cuda::DeviceGuard device(communicator.rank());
    Backend& backend = communicator.impl()->backend();
    cuda::OwnStream streams[2];
    const Backend::Buffer buffer = backend.allocate(2 * 4'000);
    for (int t = 0; t < 3; ++t) {
      for (std::size_t i = 0; i < 2; ++i) {
        auto* const at = static_cast<float*>(buffer.get()) + i * 1'000;
        communicator.all_reduce(at, at, 10 * (i + 1), DataType::float32, Reduction::sum,
                                streams[i].get());
      }
    }
    for (const cuda::OwnStream& stream : streams) {
      cuda::check(cudaStreamSynchronize(stream.get()));
    }
    EXPECT_EQ(communicator.async_error(), Result::success) << communicator.async_error_text();
  });
}

}  // namespace
}  // namespace sparccl::test
