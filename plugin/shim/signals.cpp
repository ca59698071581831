#include "shim/signals.hpp"

#include <fcntl.h>
#include <signal.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <mutex>
#include <thread>

#include "shim/process.hpp"

namespace sparccl::shim {
namespace {

std::array<int, 2> pipe_ends{-1, -1};

extern "C" void tell_thread(int signal) {
  const int before = errno;
  const char what = signal == SIGUSR1 ? 's' : 'p';
  static_cast<void>(!write(pipe_ends[1], &what, 1));
  errno = before;
}

/// Whether it would otherwise end the program.
bool is_free(int signal) {
  struct sigaction present {};
  return sigaction(signal, nullptr, &present) == 0 && (present.sa_flags & SA_SIGINFO) == 0 &&
         present.sa_handler == SIG_DFL;
}

void handle(int signal) {
  if (!is_free(signal)) {
    process().log().info("SIGUSR" + std::string(signal == SIGUSR1 ? "1" : "2") +
                         " has a handler already: it stays the program's");
    return;
  }
  struct sigaction ours {};
  ours.sa_handler = tell_thread;
  ours.sa_flags = SA_RESTART;
  sigaction(signal, &ours, nullptr);
}

void listen(const std::function<void()>& print) {
  char what = 0;
  while (true) {
    const ssize_t bytes = read(pipe_ends[0], &what, 1);
    if (bytes < 0 && errno == EINTR) continue;
    if (bytes != 1) return;
    if (what == 's') {
      ++process().save_requests;
    } else {
      print();
    }
  }
}

}  // namespace

void handle_signals(std::function<void()> print) {
  static std::once_flag once;
  std::call_once(once, [&] {
    if (pipe2(pipe_ends.data(), O_CLOEXEC) != 0) return;
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    std::thread([print = std::move(print)] { listen(print); }).detach();
    pthread_sigmask(SIG_SETMASK, &before, nullptr);
    handle(SIGUSR2);
    if (!process().settings().state_dir.empty()) handle(SIGUSR1);
  });
}

}  // namespace sparccl::shim
