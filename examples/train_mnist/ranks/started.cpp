// A rank that run_processes() has started.
#include <sys/prctl.h>
#include <unistd.h>

#include <chrono>
#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <stdexcept>
#include <thread>

#include "ranks/processes.hpp"

namespace mnist {
namespace {

/// A variable of the environment that launcher.cpp sets.
std::string variable(const char* name) {
  const char* const value = std::getenv(name);
  if (value == nullptr) throw std::runtime_error(std::string(name) + " is not set");
  return value;
}

/// Meets the others in a directory: whoever has something to say leaves a file there.
class StartedWorld final : public World {
 public:
  StartedWorld(int rank, int size, std::filesystem::path place)
      : World(rank, size), place_(std::move(place)) {}

  int local_rank() override { return rank(); }

  sparccl::Communicator communicator() override {
    throw std::logic_error("ranks that are processes without MPI share no host memory");
  }

  /// Waits as long as it takes: when a rank fails, the launcher ends the others.
  std::vector<std::byte> all_gather(std::span<const std::byte> mine) override {
    ++round_;
    leave(mine);
    std::vector<std::byte> all;
    for (int rank = 0; rank < size(); ++rank) {
      const std::vector<std::byte> theirs = fetch(rank, mine.size());
      all.insert(all.end(), theirs.begin(), theirs.end());
    }
    return all;
  }

 private:
  [[nodiscard]] std::filesystem::path file_of(int rank) const {
    return place_ / (std::to_string(round_) + "." + std::to_string(rank));
  }

  void leave(std::span<const std::byte> bytes) const {
    const std::filesystem::path path = file_of(rank());
    const std::filesystem::path unfinished = path.string() + ".unfinished";
    std::ofstream file(unfinished, std::ios::binary);
    file.write(reinterpret_cast<const char*>(bytes.data()),
               static_cast<std::streamsize>(bytes.size()));
    file.close();
    if (!file) throw std::runtime_error(unfinished.string() + " cannot be written");
    std::filesystem::rename(unfinished, path);  // complete as soon as it is there
  }

  [[nodiscard]] std::vector<std::byte> fetch(int rank, std::size_t size) const {
    const std::filesystem::path path = file_of(rank);
    while (!std::filesystem::exists(path))
      std::this_thread::sleep_for(std::chrono::milliseconds(2));
    std::vector<std::byte> bytes(size);
    std::ifstream file(path, std::ios::binary);
    file.read(reinterpret_cast<char*>(bytes.data()), static_cast<std::streamsize>(size));
    if (!file || file.peek() != std::ifstream::traits_type::eof()) {
      throw std::runtime_error(path.string() + ": expected " + std::to_string(size) + " bytes");
    }
    return bytes;
  }

  std::filesystem::path place_;
  int round_ = 0;
};

}  // namespace

std::optional<int> run_started(const Body& body) {
  if (std::getenv("TRAIN_MNIST_RANK") == nullptr) return std::nullopt;
  const std::string rank = variable("TRAIN_MNIST_RANK");
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  // It may have ended before that took effect.
  if (std::to_string(getppid()) != variable("TRAIN_MNIST_STARTED_BY")) return EXIT_FAILURE;
  try {
    StartedWorld world(std::stoi(rank), std::stoi(variable("TRAIN_MNIST_RANKS")),
                       variable("TRAIN_MNIST_MEETING_PLACE"));
    return body(world);
  } catch (const Reported&) {
    return EXIT_FAILURE;
  } catch (const std::exception& exception) {
    complain("rank " + rank + ": " + exception.what());
    return EXIT_FAILURE;
  }
}

}  // namespace mnist
