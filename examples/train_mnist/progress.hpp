// A progress bar on stderr, or plain lines where it is not a terminal.
#pragma once

#include <chrono>
#include <cstddef>
#include <string>

#include "config.hpp"

namespace mnist {

class Progress {
 public:
  explicit Progress(ProgressStyle style);

  /// Starts over. `title` names what is running: "[2/3] topk".
  void begin(std::string title, std::size_t steps, std::size_t steps_per_epoch);

  /// After `done` steps; cheap when there is nothing new to show.
  void update(std::size_t done, double training_loss, double test_accuracy);

 private:
  using Clock = std::chrono::steady_clock;

  [[nodiscard]] std::string status(std::size_t done, double loss, double accuracy) const;

  ProgressStyle style_;
  std::string title_;
  std::size_t steps_ = 0;
  std::size_t steps_per_epoch_ = 1;
  std::size_t tenths_shown_ = 0;
  Clock::time_point begun_;
  Clock::time_point shown_;
};

}  // namespace mnist
