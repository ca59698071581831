#include "study/interruption.hpp"

#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <csignal>
#include <utility>

namespace study {
namespace {

constexpr std::array signals{SIGINT, SIGTERM, SIGHUP};

/// Two, for a signal may come while the other is written.
struct Line {
  std::array<char, 512> text{};
  std::size_t size = 0;
};
std::array<Line, 2> lines;
std::atomic<int> current{0};

extern "C" void end(int signal) {
  const Line& line = lines[static_cast<std::size_t>(current.load())];
  static_cast<void>(!write(STDERR_FILENO, line.text.data(), line.size));
  _exit(128 + signal);
}

}  // namespace

Interruption::Interruption(std::string program, std::string file)
    : program_(std::move(program)), file_(std::move(file)) {
  tell(0, 0);
  for (const int signal : signals) {
    struct sigaction before {
    }, ours{};
    ours.sa_handler = end;
    sigaction(signal, nullptr, &before);
    if (before.sa_handler != SIG_IGN) sigaction(signal, &ours, nullptr);
  }
}

Interruption::~Interruption() {
  for (const int signal : signals) {
    struct sigaction before {};
    sigaction(signal, nullptr, &before);
    if (before.sa_handler == end) std::signal(signal, SIG_DFL);
  }
}

void Interruption::tell(std::size_t done, std::size_t runs) {
  std::string text = "\n";
  text += program_;
  text += ": interrupted after ";
  text += std::to_string(done);
  text += " of ";
  text += std::to_string(runs);
  text += " runs; ";
  if (file_.empty()) {
    text += "none is kept, for there was no --json";
  } else {
    text += "they are kept in ";
    text += file_;
    text += ", and the same command goes on from there";
  }
  text += "\n";
  const int other = 1 - current.load();
  Line& line = lines[static_cast<std::size_t>(other)];
  line.size = std::min(text.size(), line.text.size());
  std::copy_n(text.begin(), line.size, line.text.begin());
  current.store(other);
}

}  // namespace study
