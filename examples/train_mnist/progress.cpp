#include "progress.hpp"

#include <unistd.h>

#include <array>
#include <cstdio>
#include <utility>

namespace mnist {

Progress::Progress(ProgressStyle style) : style_(style) {
  if (style_ != ProgressStyle::automatic) return;
  style_ = isatty(STDERR_FILENO) == 1 ? ProgressStyle::bar : ProgressStyle::lines;
}

void Progress::begin(std::string title, std::size_t steps, std::size_t steps_per_epoch) {
  title_ = std::move(title);
  steps_ = steps;
  steps_per_epoch_ = steps_per_epoch;
  tenths_shown_ = 0;
  begun_ = shown_ = Clock::now();
}

void Progress::update(std::size_t done, double training_loss, double test_accuracy) {
  if (style_ == ProgressStyle::none) return;
  if (style_ == ProgressStyle::lines) {
    const std::size_t tenths = 10 * done / steps_;
    if (tenths == tenths_shown_) return;
    tenths_shown_ = tenths;
    std::fprintf(stderr, "%s  %s\n", title_.c_str(),
                 status(done, training_loss, test_accuracy).c_str());
    return;
  }
  const auto now = Clock::now();
  if (done < steps_ && now - shown_ < std::chrono::milliseconds(100)) return;
  shown_ = now;
  constexpr std::size_t width = 16;
  const std::size_t full = width * done / steps_;
  const std::string bar = std::string(full, '#') + std::string(width - full, '.');
  // "\033[K" clears what a longer line left behind.
  std::fprintf(stderr, "\r%-13s [%s] %s\033[K%s", title_.c_str(), bar.c_str(),
               status(done, training_loss, test_accuracy).c_str(), done == steps_ ? "\n" : "");
  std::fflush(stderr);
}

std::string Progress::status(std::size_t done, double loss, double accuracy) const {
  const double elapsed = std::chrono::duration<double>(Clock::now() - begun_).count();
  const bool over = done == steps_;
  const double per_step = done == 0 ? 0.0 : elapsed / static_cast<double>(done);
  const double seconds = over ? elapsed : per_step * static_cast<double>(steps_ - done);
  const auto shown = static_cast<long>(seconds + 0.5);
  std::array<char, 128> text{};
  std::snprintf(text.data(), text.size(), "epoch %zu/%zu  loss %.4f  test %.1f %%  %s %ld:%02ld",
                (done + steps_per_epoch_ - 1) / steps_per_epoch_, steps_ / steps_per_epoch_, loss,
                100 * accuracy, over ? "took" : "ETA", shown / 60, shown % 60);
  return text.data();
}

}  // namespace mnist
