// Several ranks on one GPU: a process a rank, each of which NCCL takes for a host of its own, over
// loopback. A fresh set of processes for each check, so that none sees what another left.
//
// usage: nccl_ranks [--list] [--ranks P]... [--check NAME]... [--timeout SECONDS]
// Exit code 77 where there is no GPU or no NCCL: nothing was run.
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <exception>
#include <filesystem>
#include <string>
#include <thread>
#include <vector>

#include "nccl.hpp"
#include "rank_checks.hpp"

namespace {

using namespace std::chrono_literals;
using sparccl::test::RankCheck;

constexpr int nothing_run = 77;

struct Settings {
  std::vector<int> ranks;
  std::vector<std::string> checks;
  int timeout_s = 120;
  bool list = false;
};

/// What a rank's process does. _exit: a library that is stuck must not keep it from ending.
[[noreturn]] void be_rank(const RankCheck& check, int rank, int size, const std::string& folder) {
  setenv("NCCL_HOSTID", ("sparccl-rank-" + std::to_string(rank)).c_str(), 1);
  setenv("NCCL_SOCKET_IFNAME", "lo", 1);
  setenv("NCCL_NET", "Socket", 1);
  setenv("NCCL_NVLS_ENABLE", "0", 1);
  int status = 1;
  try {
    const sparccl::test::World world(rank, size, folder + "/id");
    check.run(world, folder);
    status = 0;
  } catch (const std::exception& error) {
    std::printf("  rank %d: %s\n", rank, error.what());
  }
  std::fflush(nullptr);
  _exit(status);
}

/// Whether every rank succeeded. Ranks that are not done in time are ended.
bool run(const RankCheck& check, int size, int timeout_s) {
  std::string folder = (std::filesystem::temp_directory_path() / "sparccl-ranks-XXXXXX").string();
  if (mkdtemp(folder.data()) == nullptr) throw std::runtime_error("no folder for temporary files");
  std::fflush(nullptr);
  std::vector<pid_t> processes;
  for (int rank = 0; rank < size; ++rank) {
    const pid_t process = fork();
    if (process == 0) be_rank(check, rank, size, folder);
    if (process < 0) std::perror("fork");
    processes.push_back(process);
  }
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(timeout_s);
  bool good = true;
  for (int rank = 0; rank < size; ++rank) {
    const pid_t process = processes[static_cast<std::size_t>(rank)];
    if (process < 0) {
      good = false;
      continue;
    }
    int status = 0;
    while (waitpid(process, &status, WNOHANG) == 0) {
      if (std::chrono::steady_clock::now() > deadline) {
        std::printf("  rank %d: not done after %d s\n", rank, timeout_s);
        kill(process, SIGKILL);
        waitpid(process, &status, 0);
        break;
      }
      std::this_thread::sleep_for(20ms);
    }
    if (WIFSIGNALED(status)) std::printf("  rank %d: ended by signal %d\n", rank, WTERMSIG(status));
    good = good && WIFEXITED(status) && WEXITSTATUS(status) == 0;
  }
  std::filesystem::remove_all(folder);
  return good;
}

/// Asks in a process of its own: CUDA does not survive a fork.
bool there_is_something_to_run_on() {
  std::fflush(nullptr);
  const pid_t process = fork();
  if (process == 0) {
    int devices = 0, version = 0, status = 0;
    if (const cudaError_t code = cudaGetDeviceCount(&devices);
        code != cudaSuccess || devices == 0) {
      std::printf("nothing was run: no GPU: %s\n", cudaGetErrorString(code));
      status = nothing_run;
    } else {
      try {
        const sparccl::test::Nccl nccl;
        nccl.check(nccl.get_version(&version));
        std::printf("NCCL %d\n", version);
      } catch (const std::exception& error) {
        std::printf("nothing was run: no NCCL: %s\n", error.what());
        status = nothing_run;
      }
    }
    std::fflush(nullptr);
    _exit(status);
  }
  int status = 0;
  waitpid(process, &status, 0);
  return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

Settings parse(int argc, char** argv) {
  Settings settings;
  for (int i = 1; i < argc; ++i) {
    const std::string option = argv[i];
    const char* value = i + 1 < argc ? argv[i + 1] : nullptr;
    if (option == "--list") {
      settings.list = true;
      continue;
    }
    if (value == nullptr) throw std::runtime_error("usage: see the head of nccl_ranks.cpp");
    ++i;
    if (option == "--ranks") {
      settings.ranks.push_back(std::atoi(value));
    } else if (option == "--check") {
      settings.checks.emplace_back(value);
    } else if (option == "--timeout") {
      settings.timeout_s = std::atoi(value);
    } else {
      throw std::runtime_error("unknown option " + option);
    }
  }
  if (settings.ranks.empty()) settings.ranks = {2, 4};
  return settings;
}

}  // namespace

int main(int argc, char** argv) {
  try {
    const Settings settings = parse(argc, argv);
    std::vector<RankCheck> checks;
    for (const RankCheck& check : sparccl::test::rank_checks()) {
      if (settings.list) std::printf("%s\n", check.name.c_str());
      if (settings.checks.empty() || std::ranges::count(settings.checks, check.name) != 0) {
        checks.push_back(check);
      }
    }
    if (settings.list) return 0;
    if (checks.empty()) throw std::runtime_error("no check of that name");
    if (!there_is_something_to_run_on()) return nothing_run;

    int passed = 0, failed = 0;
    for (const int size : settings.ranks) {
      for (const RankCheck& check : checks) {
        const auto start = std::chrono::steady_clock::now();
        const bool good = run(check, size, settings.timeout_s);
        const std::chrono::duration<double> took = std::chrono::steady_clock::now() - start;
        std::printf("%s  %d ranks  %-42s %6.1f s\n", good ? "passed" : "FAILED", size,
                    check.name.c_str(), took.count());
        std::fflush(stdout);
        ++(good ? passed : failed);
      }
    }
    std::printf("%d passed, %d failed\n", passed, failed);
    return failed == 0 ? 0 : 1;
  } catch (const std::exception& error) {
    std::fprintf(stderr, "nccl_ranks: %s\n", error.what());
    return 2;
  }
}
