#include "shim/mpi/life.hpp"

#include <mpi.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <mutex>
#include <string>
#include <utility>

#include "shim/mpi/comm.hpp"
#include "shim/mpi/family.hpp"
#include "shim/mpi/promise.hpp"
#include "shim/mpi/world.hpp"
#include "shim/process.hpp"
#include "shim/signals.hpp"

namespace sparccl::shim {

const char* shim_name() noexcept { return "libsparccl-mpi"; }

namespace mpi {
namespace {

[[gnu::constructor]] void at_load() {
  static_cast<void>(process());
  require_own_family();
}

bool finalized = false;
pid_t own_process = 0;  // children that were forked say nothing
bool is_first = false;  // rank 0 of MPI_COMM_WORLD

std::string whose() {
  return "rank " + std::to_string(world_rank()) + " of " + std::to_string(world_size());
}

/// MPI_Finalize deletes the attributes of MPI_COMM_SELF first of all, whoever calls it.
int end_with_self(MPI_Comm, int, void*, void*) {
  before_finalize();
  return MPI_SUCCESS;
}

void end_at_finalize() {
  int keyval = MPI_KEYVAL_INVALID;
  PMPI_Comm_create_keyval(MPI_COMM_NULL_COPY_FN, end_with_self, &keyval, nullptr);
  PMPI_Comm_set_attr(MPI_COMM_SELF, keyval, nullptr);
}

void begin() {
  own_process = getpid();
  process().set_rank(world_rank());
  if (greet_world()) Promise::prepare();
  end_at_finalize();
  is_first = world_rank() == 0;
  const std::string who = whose();
  handle_signals([who] {
    if (is_first) process().log().print(process().tally().table(who));
  });
  std::atexit([] {
    if (finalized || !is_first || getpid() != own_process) return;
    last_words("which ends without MPI_Finalize");
  });
}

}  // namespace

int init(int* argc, char*** argv) {
  require_own_family();  // Python loads an MPI late
  int provided = MPI_THREAD_SINGLE;
  if (process().settings().disable) {
    const int code = PMPI_Init(argc, argv);
    if (code == MPI_SUCCESS) begin_if_initialized();
    return code;
  }
  return init_thread(argc, argv, MPI_THREAD_SINGLE, &provided);
}

int init_thread(int* argc, char*** argv, int required, int* provided) {
  const int wanted = process().settings().disable ? required : MPI_THREAD_MULTIPLE;
  const int code = PMPI_Init_thread(argc, argv, std::max(required, wanted), provided);
  if (code == MPI_SUCCESS) begin_if_initialized();
  return code;
}

void begin_if_initialized() {
  static std::once_flag once;
  std::call_once(once, begin);
}

void last_words(const char* why) noexcept try {
  if (!is_first || finalized || getpid() != own_process) return;
  finalized = true;
  process().log().print(process().tally().table(std::string("rank 0, ") + why));
  if (!process().settings().state_dir.empty()) {
    process().log().warn("SPARCCL_STATE_DIR: the state is not saved, for that waits for all ranks");
  }
  process().close_timelines();
} catch (...) {
}

void before_finalize() noexcept try {
  if (std::exchange(finalized, true)) return;
  Comm::end_all();
  if (world_rank() == 0) process().log().print(process().tally().table(whose()));
  process().close_timelines();
} catch (...) {
}

}  // namespace mpi
}  // namespace sparccl::shim
