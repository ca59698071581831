// The ranks before, and beside, the training: who they are, and what they must agree about.
#pragma once

#include <sparccl/sparccl.hpp>

#include <cstddef>
#include <exception>
#include <functional>
#include <span>
#include <string>
#include <vector>

namespace mnist {

/// A failure that all ranks know of and that one of them has printed.
class Reported : public std::exception {
 public:
  [[nodiscard]] const char* what() const noexcept override { return "a rank has said why"; }
};

/// One rank's view of all of them.
class World {
 public:
  World(int rank, int size) : rank_(rank), size_(size) {}
  virtual ~World() = default;

  [[nodiscard]] int rank() const noexcept { return rank_; }
  [[nodiscard]] int size() const noexcept { return size_; }

  /// Among the ranks of this machine, from 0.
  [[nodiscard]] virtual int local_rank() = 0;

  /// Collective, a few bytes: [size()][mine.size()], the same on every rank.
  [[nodiscard]] virtual std::vector<std::byte> all_gather(std::span<const std::byte> mine) = 0;

  /// Collective: of tensors in host memory.
  [[nodiscard]] virtual sparccl::Communicator communicator() = 0;

  /// Collective: returns where `error` is empty on every rank. Otherwise the first rank that has
  /// one prints it, and every rank throws Reported.
  void agree(const std::string& error);

 private:
  int rank_;
  int size_;
};

/// What a rank does. Returns its exit status.
using Body = std::function<int(World&)>;

/// "train_mnist: " and text, as one line of stderr.
void complain(const std::string& text);

/// Runs `body` on the ranks of the MPI job that this process belongs to; in a build without MPI, on
/// this process alone. Returns its exit status. What `body` throws is printed and ends all ranks.
[[nodiscard]] int run_job(const Body& body);

/// The same on threads of this process.
[[nodiscard]] int run_threads(int ranks, const Body& body);

/// How many processes mpirun says it has started; 0 where this is none of them.
[[nodiscard]] int ranks_of_mpirun();

}  // namespace mnist
