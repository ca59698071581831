#include "study/progress.hpp"

#include <unistd.h>

#include <cstdio>

namespace study {
namespace {

std::string minutes(double seconds) {
  char text[32];
  const auto whole = static_cast<long>(seconds + 0.5);
  std::snprintf(text, sizeof(text), "%ld:%02ld", whole / 60, whole % 60);
  return text;
}

}  // namespace

Progress::Progress(std::size_t runs, std::size_t done, ProgressStyle style)
    : runs_(runs), done_before_(done), style_(style), start_(Clock::now()) {
  if (style_ == ProgressStyle::automatic) {
    style_ = isatty(STDERR_FILENO) != 0 ? ProgressStyle::bar : ProgressStyle::lines;
  }
  if (done == 0 || done == runs || style_ == ProgressStyle::none) return;
  std::fprintf(stderr, "%zu of %zu runs were done before, and are kept\n", done, runs);
}

Progress::~Progress() {
  if (style_ == ProgressStyle::bar && begun_ > 0) std::fputs("\r\033[K", stderr);
}

void Progress::begin(const std::string& what) {
  what_ = what;
  ++begun_;
  show(0);
}

void Progress::at(double share) { show(share); }

void Progress::show(double share) {
  const Clock::time_point now = Clock::now();
  using Seconds = std::chrono::duration<double>;
  const bool bar = style_ == ProgressStyle::bar;
  const double least = bar ? 0.2 : 10;
  const bool first = begun_ == 1 && share == 0;
  if (style_ == ProgressStyle::none) return;
  if (!first && Seconds(now - shown_).count() < least) return;
  shown_ = now;
  const double took = Seconds(now - start_).count();
  const double done = static_cast<double>(begun_ - 1) + share;  // of those that are left
  const std::size_t number = done_before_ + begun_;
  char where[64];
  std::snprintf(where, sizeof(where), "[%zu/%zu] ", number, runs_);
  std::string line = where;
  if (bar) {
    constexpr std::size_t width = 16;
    const std::size_t full = width * (number - 1) / runs_;
    line += '[';
    line.append(full, '#').append(width - full, '.');
    line += "] ";
  }
  line += what_;
  line += ", ";
  line += minutes(took);
  line += " so far";
  if (done >= 1) {
    const double left = static_cast<double>(runs_ - done_before_) - done;
    line += ", about ";
    line += minutes(took / done * left);
    line += " to go";
  }
  std::fprintf(stderr, bar ? "\r\033[K%s" : "%s\n", line.c_str());
  std::fflush(stderr);
}

}  // namespace study
