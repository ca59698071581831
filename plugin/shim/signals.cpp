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

/// What was there before: MPICH has one for SIGUSR1, programs may have some.
std::array<struct sigaction, 2> handlers;

struct sigaction& handler_before(int signal) {
  return handlers[signal == SIGUSR1 ? 0 : 1];
}

extern "C" void tell_thread(int signal, siginfo_t* info, void* context) {
  const int saved = errno;
  const char what = signal == SIGUSR1 ? 's' : 'p';
  static_cast<void>(!write(pipe_ends[1], &what, 1));
  const struct sigaction& before = handler_before(signal);
  if ((before.sa_flags & SA_SIGINFO) != 0) {
    before.sa_sigaction(signal, info, context);
  } else if (before.sa_handler != SIG_DFL && before.sa_handler != SIG_IGN) {
    before.sa_handler(signal);
  }
  errno = saved;
}

void handle(int signal) {
  struct sigaction& before = handler_before(signal);
  if (sigaction(signal, nullptr, &before) != 0) return;
  struct sigaction ours = before;
  ours.sa_sigaction = tell_thread;
  ours.sa_flags |= SA_SIGINFO | SA_RESTART;
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
