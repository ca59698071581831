// Ranks that do not come, and ranks that give up.
#include <chrono>
#include <memory>
#include <thread>
#include <tuple>
#include <vector>

#include "communicator.hpp"
#include "ranks_of_mpi.hpp"

namespace sparccl::test {
namespace {

Outcome reduce(Communicator& communicator) {
  std::int32_t x = 1;
  return outcome([&] { communicator.all_reduce(&x, &x, 1, DataType::int32, Reduction::sum); });
}

int world_size() {
  int size = 0;
  MPI_Comm_size(MPI_COMM_WORLD, &size);
  return size;
}

TEST(MpiFailure, ATimeoutNamesWhoIsMissing) {
  if (world_size() == 1) GTEST_SKIP() << "one rank waits for nobody";
  Communicator communicator = world(300);
  const int last = communicator.size() - 1;
  const std::string missing = "rank " + std::to_string(last) + " did not arrive";
  if (communicator.rank() != last) {
    SparseAllreduce tensor(communicator, "fc3.weight", 10, DataType::float32, {});
    std::vector<float> x(10, 1.0f);
    const auto start = std::chrono::steady_clock::now();
    const Outcome found = outcome([&] { tensor(x.data(), x.data()); });
    EXPECT_GE(std::chrono::steady_clock::now() - start, std::chrono::milliseconds(200));
    EXPECT_EQ(found.code, Result::timeout) << found;
    EXPECT_TRUE(found.mentions(missing)) << found;
    EXPECT_TRUE(found.mentions("fc3.weight")) << found;
    EXPECT_EQ(communicator.async_error(), Result::timeout);
    EXPECT_NE(reduce(communicator).code, Result::success);
  }
  barrier();
  if (communicator.rank() == last) {
    const Outcome found = reduce(communicator);
    EXPECT_EQ(found.code, Result::remote_error) << found;
    EXPECT_TRUE(found.mentions("gave up")) << found;
  }
  barrier();
}

TEST(MpiFailure, AnAbortEndsAWaitAndTheOthersHearOfIt) {
  if (world_size() == 1) GTEST_SKIP() << "one rank waits for nobody";
  Communicator communicator = world(0);
  const int last = communicator.size() - 1;
  if (communicator.rank() == 0) {
    std::thread aborter([&] {
      std::this_thread::sleep_for(std::chrono::milliseconds(100));
      communicator.abort();
    });
    const Outcome found = reduce(communicator);
    EXPECT_EQ(found.code, Result::aborted) << found;
    EXPECT_EQ(reduce(communicator).code, Result::aborted);
    aborter.join();
  } else if (communicator.rank() != last) {
    const Outcome found = reduce(communicator);
    EXPECT_EQ(found.code, Result::remote_error) << found;
    EXPECT_TRUE(found.mentions("rank 0 aborted")) << found;
  }
  barrier();
  if (communicator.rank() == last) {
    const Outcome found = reduce(communicator);
    EXPECT_EQ(found.code, Result::remote_error) << found;
    EXPECT_TRUE(found.mentions("rank 0 aborted")) << found;  // whoever it heard it from
  }
  barrier();
}

TEST(MpiFailure, AnAbortedRankSaysSoWhenItLeaves) {
  if (world_size() == 1) GTEST_SKIP() << "one rank waits for nobody";
  auto communicator = std::make_unique<Communicator>(world(0));
  if (communicator->rank() == 0) {
    communicator->abort();
    communicator.reset();
  } else {
    const Outcome found = reduce(*communicator);
    EXPECT_EQ(found.code, Result::remote_error) << found;
  }
  barrier();
}

/// All have agreed, and then one does not transfer: the last resort, in which MPI keeps the buffer.
TEST(MpiFailure, ATransferThatDoesNotEndIsGivenUp) {
  if (world_size() == 1) GTEST_SKIP() << "one rank waits for nobody";
  const Communicator communicator = world(300);
  Transport& transport = communicator.impl()->transport();
  const auto size = static_cast<std::size_t>(communicator.size());
  constexpr std::size_t bytes = 1'000'000;
  static std::byte* const slots = new std::byte[size * bytes]{};  // never freed: see above
  const auto gather = [&] { transport.all_gather(slots, bytes, nullptr); };
  std::vector<std::byte> greeting(size * 64);
  transport.meet(greeting.data(), 64, nullptr);
  const bool is_last = communicator.rank() == communicator.size() - 1;
  if (!is_last) {
    const Outcome found = outcome(gather);
    EXPECT_TRUE(found.code == Result::timeout || found.code == Result::remote_error) << found;
    EXPECT_TRUE(found.mentions("MPI_Iallgather")) << found;
    EXPECT_EQ(outcome(gather).code, Result::invalid_usage);
  }
  barrier();
  if (is_last) static_cast<void>(outcome(gather));  // ends, in time or with an error
  barrier();
}

/// The ways that a dense allreduce takes: few entries or many, within a node and around a ring;
/// small sums of floats are MPI's own.
class MpiReductionFailure : public testing::TestWithParam<std::tuple<int, std::size_t, DataType>> {
 protected:
  void SetUp() override {
    if (world_size() == 1) GTEST_SKIP() << "one rank waits for nobody";
  }

  /// All have agreed, and then the last does not reduce. MPI keeps the buffers.
  template <class Others>
  void reduce_without_the_last(std::uint64_t timeout_ms, const Others& others) {
    const int ranks_per_node = std::get<0>(GetParam());
    const std::size_t count = std::get<1>(GetParam());
    const DataType type = std::get<2>(GetParam());
    static auto& kept = *new std::vector<std::vector<float>>;  // MPI may still write to them
    kept.emplace_back(2 * count);
    float* const data = kept.back().data();
    Communicator communicator = mpi_communicator(
        MPI_COMM_WORLD, {.timeout_ms = timeout_ms, .ranks_per_node = ranks_per_node});
    Transport& transport = communicator.impl()->transport();
    const auto reduce = [&] {
      transport.all_reduce(data, data + count, count, type, Reduction::sum, nullptr);
    };
    std::vector<std::byte> greeting(static_cast<std::size_t>(communicator.size()) * 64);
    transport.meet(greeting.data(), 64, nullptr);
    const bool is_last = communicator.rank() == communicator.size() - 1;
    if (!is_last) {
      const auto start = std::chrono::steady_clock::now();
      others(communicator, reduce);
      EXPECT_LT(std::chrono::steady_clock::now() - start, std::chrono::seconds(5));
      EXPECT_EQ(outcome(reduce).code, Result::invalid_usage);
    }
    barrier();
    if (is_last) static_cast<void>(outcome(reduce));  // ends, in time or with an error
    barrier();
  }
};

TEST_P(MpiReductionFailure, IsGivenUpInTime) {
  reduce_without_the_last(300, [](const Communicator&, const auto& reduce) {
    const Outcome found = outcome(reduce);
    EXPECT_TRUE(found.code == Result::timeout || found.code == Result::remote_error) << found;
  });
}

TEST_P(MpiReductionFailure, IsAborted) {
  reduce_without_the_last(0, [](Communicator& communicator, const auto& reduce) {
    std::thread aborter([&] {
      std::this_thread::sleep_for(std::chrono::milliseconds(100));
      if (communicator.rank() == 0) communicator.abort();
    });
    const Outcome found = outcome(reduce);
    aborter.join();
    EXPECT_EQ(found.code, communicator.rank() == 0 ? Result::aborted : Result::remote_error)
        << found;
  });
}

using Way = std::tuple<int, std::size_t, DataType>;
INSTANTIATE_TEST_SUITE_P(Ways, MpiReductionFailure,
                         testing::Values(Way{0, 1'000, DataType::int32},
                                         Way{0, 1'000, DataType::float32},
                                         Way{0, 3'000'000, DataType::int32},
                                         Way{1, 3'000'000, DataType::float32}));

TEST(MpiFailure, NullAndIntercommunicatorsAreRefused) {
  const auto refused = [](MPI_Comm comm) {
    return outcome([&] { static_cast<void>(mpi_communicator(comm)); });
  };
  EXPECT_EQ(refused(MPI_COMM_NULL).code, Result::invalid_argument);
  if (world_size() == 1) return;
  int rank = 0;
  MPI_Comm_rank(MPI_COMM_WORLD, &rank);
  MPI_Comm half = MPI_COMM_NULL;
  MPI_Comm inter = MPI_COMM_NULL;
  MPI_Comm_split(MPI_COMM_WORLD, rank % 2, rank, &half);
  MPI_Intercomm_create(half, 0, MPI_COMM_WORLD, 1 - rank % 2, 0, &inter);
  const Outcome found = refused(inter);
  EXPECT_EQ(found.code, Result::invalid_argument) << found;
  EXPECT_TRUE(found.mentions("intercommunicator")) << found;
  MPI_Comm_free(&inter);
  MPI_Comm_free(&half);
}

/// A wait of this library must leave the user's own messages alone, and the other way round.
TEST(MpiFailure, TheUsersTrafficIsSeparate) {
  Communicator communicator = world();
  const int next = (communicator.rank() + 1) % communicator.size();
  const int previous = (communicator.rank() + communicator.size() - 1) % communicator.size();
  int received = -1;
  MPI_Request request = MPI_REQUEST_NULL;
  MPI_Irecv(&received, 1, MPI_INT, previous, MPI_ANY_TAG, MPI_COMM_WORLD, &request);
  EXPECT_EQ(reduce(communicator).code, Result::success);
  const int rank = communicator.rank();
  MPI_Send(&rank, 1, MPI_INT, next, 1, MPI_COMM_WORLD);
  MPI_Wait(&request, MPI_STATUS_IGNORE);
  EXPECT_EQ(received, previous);
}

}  // namespace
}  // namespace sparccl::test
