// The ranks of a run, apart from the library that is measured: what checks and clocks go by.
#pragma once

#include <cstddef>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include <sparccl/sparccl.hpp>

#include "settings.hpp"

namespace sparccl::perf {

class Baseline;

/// One rank's view of all of them. Calls are collective, in the same order on every rank.
class Ranks {
 public:
  Ranks(int rank, int size) : rank_(rank), size_(size) {}
  virtual ~Ranks() = default;

  [[nodiscard]] int rank() const noexcept { return rank_; }
  [[nodiscard]] int size() const noexcept { return size_; }

  virtual void barrier() = 0;
  /// all: [size()][bytes]. In place: this rank's part is sent, the others are filled.
  virtual void all_gather(void* all, std::size_t bytes) = 0;
  /// In place, the sum over the ranks.
  virtual void sum(std::span<float> values) = 0;

  /// Hosts that the ranks are on, a number of this one, and of the ranks on it, how many and which.
  [[nodiscard]] virtual int hosts() { return 1; }
  [[nodiscard]] virtual int host() { return 0; }
  [[nodiscard]] virtual int ranks_here() { return size_; }
  [[nodiscard]] virtual int number_here() { return rank_; }

  /// Of tensors in host memory; over NCCL, of the device's.
  [[nodiscard]] virtual Communicator communicator(const CommunicatorOptions& options) = 0;

  /// MPI_Allreduce, where ranks are MPI's.
  [[nodiscard]] virtual std::unique_ptr<Baseline> dense_mpi(DataType type, Reduction reduction);

  /// The value of each rank.
  template <class T>
  [[nodiscard]] std::vector<T> gather(const T& mine) {
    std::vector<T> all(static_cast<std::size_t>(size_));
    all[static_cast<std::size_t>(rank_)] = mine;
    all_gather(all.data(), sizeof(T));
    return all;
  }
  /// The same of words, of which longer ones than a line or two are cut.
  [[nodiscard]] std::vector<std::string> gather_words(const std::string& mine);

 private:
  int rank_;
  int size_;
};

/// What a rank does. Returns its exit status.
using Body = std::function<int(Ranks&)>;

/// Runs it on all ranks of this process, and returns the exit status of the process. What it throws
/// is printed once and ends all ranks.
[[nodiscard]] int run_threads(int size, const Body& body);
[[nodiscard]] int run_mpi(const Body& body);
[[nodiscard]] int run_nccl(int size, const Body& body);

/// One line on stderr: "sparccl_perf: " and text.
void complain(const std::string& text);

/// Prints what is being thrown, and returns the exit status that it stands for.
[[nodiscard]] int status_of_exception(int rank);

}  // namespace sparccl::perf
