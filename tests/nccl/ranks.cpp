#include "ranks.hpp"

#include <gtest/gtest.h>

#include <chrono>
#include <exception>
#include <thread>

#include "simt.hpp"

namespace sparccl::test {
namespace {

class Devices : public testing::Environment {
 public:
  void SetUp() override { simt::set_device_count(8); }
};
const testing::Environment* const devices = testing::AddGlobalTestEnvironment(new Devices);

}  // namespace

UserComms::UserComms(int ranks) : comms_(static_cast<std::size_t>(ranks)) {
  static_cast<void>(ncclCommInitAll(comms_.data(), ranks, nullptr));
}

UserComms::~UserComms() {
  for (const ncclComm_t comm : comms_) static_cast<void>(ncclCommDestroy(comm));
}

void on_ranks(int ranks, const std::function<void(int rank)>& work) {
  std::vector<std::exception_ptr> failures(static_cast<std::size_t>(ranks));
  std::vector<std::thread> threads;
  for (int rank = 0; rank < ranks; ++rank) {
    threads.emplace_back([&work, &failure = failures[static_cast<std::size_t>(rank)], rank] {
      try {
        cuda::check(cudaSetDevice(device_of(rank)));
        work(rank);
      } catch (...) {
        failure = std::current_exception();
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  for (const std::exception_ptr& failure : failures) {
    if (failure != nullptr) std::rethrow_exception(failure);
  }
}

std::vector<std::unique_ptr<Rank>> make_ranks(const UserComms& comms, std::uint64_t timeout_ms) {
  std::vector<std::unique_ptr<Rank>> ranks(static_cast<std::size_t>(comms.size()));
  on_ranks(comms.size(), [&](int rank) {
    ranks[static_cast<std::size_t>(rank)] = std::make_unique<Rank>(comms, rank, timeout_ms);
  });
  return ranks;
}

Result code_thrown(const std::function<void()>& call, std::string* text) {
  try {
    call();
  } catch (const Error& error) {
    if (text != nullptr) *text = error.what();
    return error.code();
  }
  return Result::success;
}

bool eventually(const std::function<bool()>& condition) {
  const auto start = std::chrono::steady_clock::now();
  while (!condition()) {
    if (std::chrono::steady_clock::now() - start > std::chrono::seconds(10)) return false;
    std::this_thread::sleep_for(std::chrono::milliseconds(2));
  }
  return true;
}

}  // namespace sparccl::test
