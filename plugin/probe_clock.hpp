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

  /// Each figure becomes the largest of all ranks', on all of them: what is decided by it is decided
  /// alike. Collective: ranks wait for each other. figures: at most `most`.
  void slowest(std::span<double> figures);
  [[nodiscard]] double slowest(double figure) {
    slowest(std::span<double>(&figure, 1));
    return figure;
  }
  /// Every rank's, by rank.
  [[nodiscard]] std::vector<double> gather(double figure);

  /// Seconds of one call, of the slowest rank. Collective.
  template <class Work>
  [[nodiscard]] double once(const Work& work) {
    static_cast<void>(slowest(0));  // none begins before the others
    return slowest(own([&] { work(); }));
  }

  /// Of a call after the first: the median of as many as its length allows.
  template <class Work>
  [[nodiscard]] double typical(const Work& work) {
    const double first = once(work);
    if (first > slow) return first;
    std::vector<double> times(first > slow / 8 ? 3 : 5);
    for (double& time : times) time = once(work);
    std::nth_element(times.begin(), middle(times), times.end());
    return *middle(times);
  }

  /// Seconds on this rank, until what was enqueued is done.
  template <class Work>
  [[nodiscard]] double own(const Work& work) {
    const auto start = std::chrono::steady_clock::now();
    work();
    communicator_.backend().finish(stream_);
    return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  }

  /// Seconds from which on a probe is not repeated, and larger ones are left out.
  static constexpr double slow = 8e-3;
  static constexpr std::size_t most = 8;  // figures

  [[nodiscard]] static std::vector<double>::iterator middle(std::vector<double>& times) {
    return times.begin() + static_cast<std::ptrdiff_t>(times.size() / 2);
  }

 private:
  void exchange(std::span<const double> figures);

  Communicator::Impl& communicator_;
  Stream stream_;
  Backend::Buffer slots_;       // [ranks][most]
  std::vector<double> copies_;  // the same, in host memory
};

}  // namespace sparccl
