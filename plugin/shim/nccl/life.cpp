#include "shim/nccl/life.hpp"

#include <unistd.h>

#include <chrono>
#include <cstdlib>
#include <functional>
#include <future>
#include <mutex>
#include <optional>
#include <thread>
#include <utility>
#include <vector>

#include "shim/nccl/known.hpp"
#include "shim/nccl/real.hpp"
#include "shim/nccl/statically_linked.hpp"
#include "shim/process.hpp"
#include "shim/signals.hpp"

namespace sparccl::shim {

const char* shim_name() noexcept { return "libsparccl-nccl"; }

namespace nccl {
namespace {

using std::chrono::seconds;

struct Life {
  pid_t process = getpid();  // children that were forked say nothing
  std::mutex mutex;
  std::optional<std::string> first_id;  // of the first communicator
  bool made = false;
  bool begun = false;
  std::string whose;  // "rank 0 of 4": this process prints the table
  bool printed = false;
};

Life& life() {
  static Life& instance = *new Life;
  return instance;
}

void print_table() {
  std::string whose;
  {
    const std::lock_guard lock(life().mutex);
    whose = life().whose;
  }
  if (!whose.empty()) process().log().print(process().tally().table(whose));
}

constexpr const char* advice =
    "calls inside of it cannot be seen from outside: link it with libnccl.so (of PyTorch, take a "
    "build that does)";

/// Never silently nothing: whoever sets LD_PRELOAD is told why the shim had nothing to do.
void explain_no_calls() {
  Log& log = process().log();
  if (life().made) {
    log.warn(
        "communicators of NCCL were made, but ncclAllReduce was never called: nothing was "
        "sparsified");
  } else if (has_library()) {
    log.warn(
        "libnccl.so.2 is loaded, but no call came by this shim: the program made none, or looked "
        "NCCL's functions up itself (dlsym)");
  } else {
    for (const std::string& file : files_with_nccl()) {
      log.warn(file + " has NCCL linked statically; " + advice);
    }
  }
}

/// The last thing, also where no call was ever admitted.
void at_the_end() {
  if (getpid() != life().process) return;
  if (process().tally().calls() == 0) {
    explain_no_calls();
  } else if (!life().printed) {
    print_table();
    process().close_timelines();
  }
}

[[gnu::constructor]] void at_load() {
  static_cast<void>(process());
  static_cast<void>(life());
  if (!has_library() && is_in_executable()) {
    process().log().warn(std::string("the program itself has NCCL linked statically; ") + advice);
  }
  std::atexit(at_the_end);
}

/// Runs them side by side. Whether all were done in time; those that were not are left to
/// themselves.
bool within(seconds limit, const std::vector<std::function<void()>>& works) {
  std::vector<std::future<void>> done;
  for (const std::function<void()>& work : works) {
    std::packaged_task<void()> task(work);
    done.push_back(task.get_future());
    std::thread(std::move(task)).detach();
  }
  const auto end = std::chrono::steady_clock::now() + limit;
  bool all = true;
  for (const std::future<void>& each : done) {
    all = each.wait_until(end) == std::future_status::ready && all;
  }
  return all;
}

/// A rank that ends because something is wrong must not wait for the others as long as a call may.
void end_all() noexcept try {
  if (getpid() != life().process) return;
  const std::vector<std::shared_ptr<Comm>> comms = all_comms();
  std::vector<std::function<void()>> finish, end;
  for (const std::shared_ptr<Comm>& comm : comms) {
    finish.emplace_back([comm] { comm->finish(); });
    end.emplace_back([comm] { comm->end(); });
  }
  const bool idle = within(seconds(10), finish);
  if (!idle) {
    process().log().warn(
        "the process ends while the device is at work: counts are short, and no "
        "state is saved");
  }
  for (const std::shared_ptr<Comm>& comm : comms) {
    if (idle) comm->close();
  }
  print_table();
  life().printed = true;
  // A timeline may lack its end; what is left to itself may still write to it.
  if (idle && within(seconds(5), end)) process().close_timelines();
} catch (...) {
}

}  // namespace

void communicator_made(const void* id, std::size_t bytes, int rank, int size) noexcept try {
  Life& now = life();
  const std::lock_guard lock(now.mutex);
  const std::string name(static_cast<const char*>(id), bytes);
  now.made = true;
  if (!now.first_id) now.first_id = name;
  const bool first = rank == 0 && *now.first_id == name && now.whose.empty();
  if (first) now.whose = "rank 0 of " + std::to_string(size);
} catch (...) {
}

void begin(int rank, int size) noexcept try {
  {
    Life& now = life();
    const std::lock_guard lock(now.mutex);
    const bool first = !std::exchange(now.begun, true) && !now.made && rank == 0;
    if (first) now.whose = "rank 0 of " + std::to_string(size);
  }
  handle_signals(print_table);
} catch (...) {
}

void end_at_exit() {
  static std::once_flag once;
  std::call_once(once, [] { std::atexit(end_all); });
}

std::string process_stem() {
  for (const char* const name :
       {"RANK", "OMPI_COMM_WORLD_RANK", "PMI_RANK", "PMIX_RANK", "SLURM_PROCID"}) {
    const char* const rank = std::getenv(name);
    if (rank != nullptr && *rank != '\0') return "process" + std::string(rank) + ".";
  }
  return {};
}

}  // namespace nccl
}  // namespace sparccl::shim
