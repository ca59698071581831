// Ranks that are threads of this process: in builds without MPI, and for a quick try.
#include <atomic>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <thread>
#include <utility>

#include "ranks/world.hpp"

namespace mnist {
namespace {

class ThreadWorld final : public World {
 public:
  explicit ThreadWorld(sparccl::Communicator communicator)
      : World(communicator.rank(), communicator.size()), communicator_(std::move(communicator)) {}

  int local_rank() override { return rank(); }
  sparccl::Communicator communicator() override { return communicator_; }

  std::vector<std::byte> all_gather(std::span<const std::byte> mine) override {
    std::vector<std::byte> all(mine.size() * static_cast<std::size_t>(size()));
    std::memcpy(all.data() + mine.size() * static_cast<std::size_t>(rank()), mine.data(),
                mine.size());
    // Each byte is zero on all ranks but one, so that the sum is that rank's.
    communicator_.all_reduce(all.data(), all.data(), all.size(), sparccl::DataType::uint8,
                             sparccl::Reduction::sum);
    return all;
  }

 private:
  sparccl::Communicator communicator_;
};

}  // namespace

int run_threads(int ranks, const Body& body) {
  std::vector<sparccl::Communicator> communicators = sparccl::Communicator::local(ranks);
  std::atomic<bool> failed = false;
  std::atomic<int> status = EXIT_SUCCESS;
  {
    std::vector<std::jthread> threads;
    for (sparccl::Communicator& communicator : communicators) {
      threads.emplace_back([&] {
        try {
          ThreadWorld world(communicator);
          if (const int own = body(world); own != EXIT_SUCCESS) status = own;
        } catch (const Reported&) {
          status = EXIT_FAILURE;
        } catch (const std::exception& exception) {
          // The others may be waiting for this one; what they then throw is no news.
          if (!failed.exchange(true)) {
            complain("rank " + std::to_string(communicator.rank()) + ": " + exception.what());
          }
          status = EXIT_FAILURE;
          communicator.abort();
        }
      });
    }
  }
  return status;
}

}  // namespace mnist
