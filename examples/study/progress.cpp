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

Progress::Progress(std::size_t runs, bool quiet)
    : runs_(runs), quiet_(quiet), terminal_(isatty(STDERR_FILENO) != 0), start_(Clock::now()) {}

Progress::~Progress() {
  if (!quiet_ && terminal_ && begun_ > 0) std::fputs("\r\033[K", stderr);
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
  const double least = terminal_ ? 0.2 : 10;
  const bool first = begun_ == 1 && share == 0;
  if (quiet_ || (!first && Seconds(now - shown_).count() < least)) return;
  shown_ = now;
  const double took = Seconds(now - start_).count();
  const double done = static_cast<double>(begun_ - 1) + share;
  char where[64];
  std::snprintf(where, sizeof(where), "[%zu/%zu] ", begun_, runs_);
  std::string line = where;
  line += what_;
  line += ", ";
  line += minutes(took);
  line += " so far";
  if (done >= 1) {
    line += ", about ";
    line += minutes(took / done * (static_cast<double>(runs_) - done));
    line += " to go";
  }
  std::fprintf(stderr, terminal_ ? "\r\033[K%s" : "%s\n", line.c_str());
  std::fflush(stderr);
}

}  // namespace study
