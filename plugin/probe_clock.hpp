// Times what all ranks do at once.
#pragma once

#include <algorithm>
#include <chrono>
#include <span>
#include <string_view>
#include <vector>

#include "communicator.hpp"

namespace sparccl {

class ProbeClock {
 public:
  ProbeClock(Communicator::Impl& communicator, Stream stream);

  /// Each figure becomes the largest of all ranks', on all of them: what is decided by it is
  /// decided alike. Collective: ranks wait for each other. figures: at most `most`.
  void slowest(std::span<double> figures);
  [[nodiscard]] double slowest(double figure) {
    slowest(std::span<double>(&figure, 1));
    return figure;
  }
  /// The same, with the smallest.
  void least(std::span<double> figures);
  /// Every rank's, by rank.
  [[nodiscard]] std::vector<double> gather(double figure);

  /// Seconds of one call, of the slowest rank. Collective.
  template <class Work>
  [[nodiscard]] double once(const Work& work) {
    static_cast<void>(slowest(0));  // none begins before the others
    return slowest(own([&] { work(); }));
  }

  /// Of calls after the first, which finds no memory warm: the shortest of four. What else the
  /// machine does makes calls longer, never shorter; next to a long one it does not matter.
  template <class Work>
  [[nodiscard]] double typical(const Work& work) {
    static_cast<void>(once(work));
    double least = once(work);
    for (int i = 0; i < 3 && least < long_call; ++i) least = std::min(least, once(work));
    return least;
  }

  /// Seconds on this rank, until what was enqueued is done.
  template <class Work>
  [[nodiscard]] double own(const Work& work) {
    const auto start = std::chrono::steady_clock::now();
    work();
    communicator_.backend().finish(stream_);
    return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  }

  static constexpr double slow = 8e-3;       // seconds of a step that is repeated once
  static constexpr double long_call = 0.25;  // of a call that is not repeated
  static constexpr std::size_t most = 8;     // figures

 private:
  void exchange(std::span<const double> figures);
  template <class Pick>
  void pick(std::span<double> figures, const Pick& pick);

  Communicator::Impl& communicator_;
  Stream stream_;
  Backend::Buffer slots_;       // [ranks][most]
  std::vector<double> copies_;  // the same, in host memory
};

}  // namespace sparccl
