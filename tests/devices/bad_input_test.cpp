// Memory and streams of somewhere else, devices and drivers that are not there, memory that is
// refused: a clear error, nothing leaked, and the process lives on.
#include <gtest/gtest.h>

#include <sparccl/cuda.hpp>

#include "device_rank.hpp"
#include "simt.hpp"

namespace sparccl::test {
namespace {

const Shape shape{.ranks = 1, .count = 1'000, .k = 10, .mu = 2};

class DeviceInput : public testing::Test {
 protected:
  void expect_rejected(const std::function<void()>& call, const std::vector<std::string>& words) {
    const auto before = world_.states();
    expect_error(call, Result::invalid_argument, words);
    EXPECT_EQ(world_.states(), before);
    on_.call();  // and on it goes
    on_.finish();
  }
  SparseAllreduce& tensor() { return world_.tensor(0); }

  World world_{shape};
  DeviceRank on_{world_.tensor(0), 0};
};

TEST_F(DeviceInput, HostMemory) {
  std::vector<float> host(1'000);
  expect_rejected([&] { tensor()(host.data(), on_.result(), 1.0, on_.stream()); },
                  {"fc1.weight", "send buffer", "memory of CUDA device 0", "host memory"});
  expect_rejected([&] { tensor()(on_.gradient(), host.data(), 1.0, on_.stream()); },
                  {"receive buffer", "host memory"});
  expect_rejected([&] { tensor()(nullptr, on_.result(), 1.0, on_.stream()); }, {"null"});
  expect_rejected(
      [&] {
        world_.communicators()[0].all_reduce(host.data(), on_.result(), 10, DataType::float32,
                                             Reduction::sum);
      },
      {"send buffer", "host memory"});
}

TEST_F(DeviceInput, MemoryAndStreamsOfAnotherDevice) {
  void* elsewhere = nullptr;
  cudaStream_t stream = nullptr;
  {
    const cuda::DeviceGuard other(1);
    cuda::check(cudaMalloc(&elsewhere, 4'000));
    cuda::check(cudaStreamCreate(&stream));
  }
  expect_rejected(
      [&] { tensor()(elsewhere, on_.result(), 1.0, on_.stream()); },
      {"fc1.weight", "expected memory of CUDA device 0", "found memory of CUDA device 1"});
  expect_rejected([&] { tensor()(on_.gradient(), on_.result(), 1.0, stream); },
                  {"fc1.weight", "stream", "CUDA device 0", "CUDA device 1"});
  cuda::check(cudaFree(elsewhere));
  cuda::check(cudaStreamDestroy(stream));
}

/// A device that is present by chance changes nothing.
TEST_F(DeviceInput, AnotherPresentDevice) {
  const cuda::DeviceGuard other(1);
  on_.call();
  on_.finish();
  int present = -1;
  cuda::check(cudaGetDevice(&present));
  EXPECT_EQ(present, 1);
}

/// A kernel that cannot be started is named, and so is the tensor.
TEST(Launches, ThatAreRefused) {
  const Shape large{.ranks = 1, .count = 400'000, .k = 400, .mu = 2};
  World world(large);
  DeviceRank on(world.tensor(0), 0);
  on.call();  // the backend knows now how many blocks the device holds
  on.finish();
  simt::set_multiprocessors(1);
  expect_error([&] { on.call(); }, Result::unhandled_cuda_error, {"fc1.weight", "kernel sample"});
  simt::set_multiprocessors(3);
  expect_error([&] { on.call(); }, Result::unhandled_cuda_error, {"earlier failure"});
}

TEST(DeviceMemory, GivenToACommunicatorOfHosts) {
  void* memory = nullptr;
  cuda::check(cudaMalloc(&memory, 4'000));
  const std::vector<Communicator> one = Communicator::local(1);
  SparseAllreduce tensor(one[0], "fc1.weight", 1'000, DataType::float32);
  std::vector<float> host(1'000);
  expect_error([&] { tensor(memory, host.data()); }, Result::invalid_argument,
               {"fc1.weight", "expected host memory", "memory of CUDA device 0"});
  expect_error([&] { tensor(host.data(), memory); }, Result::invalid_argument,
               {"receive buffer", "memory of CUDA device 0"});
  tensor(host.data(), host.data());
  cuda::check(cudaFree(memory));
}

/// Every allocation of a construction is refused once.
TEST(DeviceMemory, ThatIsRefused) {
  const std::vector<Communicator> hosts = Communicator::local(1);
  const auto construct = [&] {
    const Communicator communicator = cuda_communicator(hosts[0]);
    const SparseAllreduce tensor(communicator, "fc1.weight", 100'000, DataType::float32);
  };
  construct();
  const simt::Live before = simt::live();
  std::size_t refused = 0;
  for (const auto fail : {simt::fail_device_allocation, simt::fail_host_allocation}) {
    for (std::uint64_t n = 1;; ++n, ++refused) {
      fail(n);
      try {
        construct();
      } catch (const Error& error) {
        EXPECT_NE(std::string(error.what()).find("memory"), std::string::npos) << error.what();
        EXPECT_EQ(simt::live(), before) << "after the failure of allocation " << n;
        continue;
      }
      break;
    }
    fail(0);
  }
  EXPECT_GT(refused, 8u);
  EXPECT_EQ(simt::live(), before);
}

TEST(Drivers, ThatAreMissingOrTooOld) {
  const std::vector<Communicator> hosts = Communicator::local(1);
  for (const cudaError_t code : {cudaErrorInsufficientDriver, cudaErrorNoDevice}) {
    simt::fail_all_calls(code);
    expect_error([&] { static_cast<void>(cuda_communicator(hosts[0])); }, Result::system_error,
                 {"CUDA", "expected", "found"});
    simt::fail_all_calls(cudaSuccess);
  }
  static_cast<void>(cuda_communicator(hosts[0]));
}

}  // namespace
}  // namespace sparccl::test
