#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <filesystem>
#include <optional>
#include <system_error>

#include "ranks/processes.hpp"

namespace mnist {
namespace {

using Clock = std::chrono::steady_clock;

// How long ranks have after one has failed: to fail by themselves, and then to heed SIGTERM.
constexpr std::chrono::seconds patience{2};

[[noreturn]] void fail(const std::string& what, int error) {
  throw std::system_error(error, std::generic_category(), what);
}

/// Where ranks meet before they have a network. Nobody else may look into it.
class MeetingPlace {
 public:
  MeetingPlace() {
    std::string name = std::filesystem::temp_directory_path() / "train_mnist.XXXXXX";
    if (mkdtemp(name.data()) == nullptr) fail(name + " cannot be made", errno);
    path_ = name;
  }
  ~MeetingPlace() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  MeetingPlace(const MeetingPlace&) = delete;
  MeetingPlace& operator=(const MeetingPlace&) = delete;
  [[nodiscard]] const std::filesystem::path& path() const noexcept { return path_; }

 private:
  std::filesystem::path path_;
};

/// While it lives, these signals wait to be fetched.
class HeldSignals {
 public:
  HeldSignals() {
    sigemptyset(&held_);
    for (const int signal : {SIGCHLD, SIGINT, SIGTERM, SIGHUP}) sigaddset(&held_, signal);
    sigprocmask(SIG_BLOCK, &held_, &before_);
  }
  ~HeldSignals() { sigprocmask(SIG_SETMASK, &before_, nullptr); }
  HeldSignals(const HeldSignals&) = delete;
  HeldSignals& operator=(const HeldSignals&) = delete;

  [[nodiscard]] const sigset_t& before() const noexcept { return before_; }

  /// The next one, or 0 after a while.
  [[nodiscard]] int next() const {
    const timespec while_{.tv_sec = 0, .tv_nsec = 100'000'000};
    return std::max(0, sigtimedwait(&held_, nullptr, &while_));
  }

 private:
  sigset_t held_{};
  sigset_t before_{};
};

/// The environment of this process, and what run_started() reads.
std::vector<std::string> environment_of(int rank, int ranks, const std::filesystem::path& place) {
  std::vector<std::string> all;
  for (char** entry = environ; *entry != nullptr; ++entry) {
    if (!std::string_view(*entry).starts_with("TRAIN_MNIST_")) all.emplace_back(*entry);
  }
  all.push_back("TRAIN_MNIST_RANK=" + std::to_string(rank));
  all.push_back("TRAIN_MNIST_RANKS=" + std::to_string(ranks));
  all.push_back("TRAIN_MNIST_STARTED_BY=" + std::to_string(getpid()));
  all.push_back("TRAIN_MNIST_MEETING_PLACE=" + place.string());
  return all;
}

pid_t start(char** arguments, std::vector<std::string> environment, const sigset_t& mask) {
  std::vector<char*> entries;
  for (std::string& entry : environment) entries.push_back(entry.data());
  entries.push_back(nullptr);
  posix_spawnattr_t attributes;
  posix_spawnattr_init(&attributes);
  posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGMASK);
  posix_spawnattr_setsigmask(&attributes, &mask);
  pid_t process = 0;
  const int error =
      posix_spawn(&process, "/proc/self/exe", nullptr, &attributes, arguments, entries.data());
  posix_spawnattr_destroy(&attributes);
  if (error != 0) fail("a rank cannot be started", error);
  return process;
}

/// The ranks that still run; ends them with itself.
class Running {
 public:
  ~Running() {
    signal_all(SIGKILL);
    for (const pid_t process : processes_) {
      if (process != 0) waitpid(process, nullptr, 0);
    }
  }
  Running() = default;
  Running(const Running&) = delete;
  Running& operator=(const Running&) = delete;

  void add(pid_t process) { processes_.push_back(process); }

  [[nodiscard]] bool any() const {
    return std::ranges::any_of(processes_, [](pid_t process) { return process != 0; });
  }

  void signal_all(int signal) const {
    for (const pid_t process : processes_) {
      if (process != 0) kill(process, signal);
    }
  }

  /// A rank that has ended since, and its status as of waitpid().
  [[nodiscard]] std::optional<std::pair<std::size_t, int>> next_ended() {
    for (std::size_t rank = 0; rank < processes_.size(); ++rank) {
      int status = 0;
      if (processes_[rank] != 0 && waitpid(processes_[rank], &status, WNOHANG) > 0) {
        processes_[rank] = 0;
        return std::pair(rank, status);
      }
    }
    return std::nullopt;
  }

 private:
  std::vector<pid_t> processes_;  ///< by rank; 0: ended
};

std::string words_for(int status) {
  if (WIFEXITED(status)) return "exited with status " + std::to_string(WEXITSTATUS(status));
  const int signal = WTERMSIG(status);
  return "was killed by signal " + std::to_string(signal) + " (" + strsignal(signal) + ")";
}

/// Returns whether no rank failed. interrupt: set to the signal that asked to stop.
bool wait_for_all(Running& running, const HeldSignals& signals, int& interrupt) {
  bool well = true;
  int sent = 0;  // to the ranks, by this process
  std::optional<Clock::time_point> deadline;
  while (running.any()) {
    const int signal = signals.next();
    if (signal == SIGINT || signal == SIGTERM || signal == SIGHUP) {
      interrupt = signal;
      deadline = Clock::now();
    }
    while (const auto ended = running.next_ended()) {
      const auto [rank, status] = *ended;
      if (status == 0) continue;
      const bool ended_by_us = sent != 0 && WIFSIGNALED(status) && WTERMSIG(status) == sent;
      if (interrupt == 0 && !ended_by_us) {
        complain("rank " + std::to_string(rank) + " " + words_for(status));
      } else if (interrupt == 0) {
        complain("rank " + std::to_string(rank) + " was ended, because another rank had failed");
      }
      well = false;
      if (!deadline) deadline = Clock::now() + patience;
    }
    if (deadline && Clock::now() >= *deadline) {
      sent = sent == 0 ? SIGTERM : SIGKILL;
      running.signal_all(sent);
      deadline = Clock::now() + patience;
    }
  }
  return well;
}

}  // namespace

int run_processes(int ranks, char** arguments) {
  int interrupt = 0;
  bool well = false;
  {
    const MeetingPlace place;
    const HeldSignals signals;
    Running running;
    for (int rank = 0; rank < ranks; ++rank) {
      running.add(start(arguments, environment_of(rank, ranks, place.path()), signals.before()));
    }
    well = wait_for_all(running, signals, interrupt);
  }
  if (interrupt != 0) std::raise(interrupt);
  return well && interrupt == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}

}  // namespace mnist
