// How far a study is, on stderr: one line that changes on a terminal, else one now and then.
#pragma once

#include <chrono>
#include <cstddef>
#include <string>

namespace study {

class Progress {
 public:
  /// runs: to be done, those left out that an earlier study did.
  explicit Progress(std::size_t runs, bool quiet = false);
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

  std::size_t runs_;
  bool quiet_, terminal_;
  std::size_t begun_ = 0;
  std::string what_;
  Clock::time_point start_, shown_;
};

}  // namespace study
