// How far a study is, on stderr: a bar on a terminal, else a line now and then.
#pragma once

#include <chrono>
#include <cstddef>
#include <string>

namespace study {

/// automatic: a bar where stderr is a terminal, else lines.
enum class ProgressStyle { automatic, bar, lines, none };

class Progress {
 public:
  /// runs: of the study. done: of these, by an earlier one.
  Progress(std::size_t runs, std::size_t done, ProgressStyle style);
  ~Progress();
  Progress(const Progress&) = delete;
  Progress& operator=(const Progress&) = delete;

  /// A run begins: "regtopk, density 0.6, seed 3".
  void begin(const std::string& what);
  /// Of the run, in [0, 1].
  void at(double share);

 private:
  using Clock = std::chrono::steady_clock;

  void show(double share);

  std::size_t runs_, done_before_;
  ProgressStyle style_;
  std::size_t begun_ = 0;  // of those that were not done before
  std::string what_;
  Clock::time_point start_, shown_;
};

}  // namespace study
