// What an ncclComm_t of the stand-in stands for, and the rules of who may use it.
#pragma once

#include <cuda_runtime.h>
#include <nccl.h>

#include <chrono>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "world.hpp"

namespace fake_nccl {

/// Outlives its handle: host functions that are still on a stream look at it.
struct Comm {
  std::shared_ptr<World> world;
  int rank = 0;
  int device = 0;
  bool blocking = true;

  std::mutex mutex;  // of what follows
  ncclResult_t error = ncclSuccess;
  bool in_progress = false;  // job_ is at it
  bool aborted = false;
  bool finalized = false;
  bool in_group = false;                                // of some thread, which has not ended it
  std::chrono::steady_clock::time_point stuck_since{};  // in a call, as a test wanted
  std::thread::id inside{};                             // the thread in a call, if any
  std::thread job;                                      // of a nonblocking communicator
  cudaEvent_t launched = nullptr;                       // the last collective outside of captures
};

/// Handles are looked up rather than followed, and used twice only if FAKE_NCCL_REUSES_HANDLES is
/// in the environment.
ncclComm_t add(std::shared_ptr<Comm> comm);
std::shared_ptr<Comm> find(ncclComm_t handle, const char* call);  // null: misuse, which is noted
void remove(ncclComm_t handle);
std::size_t live();

/// The calling thread's stay in a function of NCCL: two at once is misuse.
class Visit {
 public:
  Visit(ncclComm_t handle, const char* call);
  ~Visit();
  Visit(const Visit&) = delete;
  Visit& operator=(const Visit&) = delete;
  /// What the call has to return at once, or success.
  [[nodiscard]] ncclResult_t refusal() const { return refusal_; }
  [[nodiscard]] Comm& comm() const { return *comm_; }
  [[nodiscard]] const std::shared_ptr<Comm>& share() const { return comm_; }

 private:
  std::shared_ptr<Comm> comm_;
  bool entered_ = false;
  ncclResult_t refusal_ = ncclSuccess;
};

/// Runs work on a thread of the communicators' if they are nonblocking, here if not. They are in
/// progress meanwhile and then have its result, as their error if it is one.
ncclResult_t run(const std::vector<std::shared_ptr<Comm>>& comms,
                 std::function<ncclResult_t()> work);

/// Waits for the communicator's thread.
void join(Comm& comm);

/// What FAKE_NCCL_VERSION in the environment says, or NCCL_VERSION_CODE.
int version_at_first();

// Of fake_nccl.hpp.
struct Wishes {
  int version = version_at_first();
  std::string fail_function;
  ncclResult_t fail_result = ncclSuccess;
  int stick_rank = -1;
  bool aborts_are_heard = false;
  std::size_t aborts = 0;
  std::string misuse;
  std::string last_error;
};
/// All calls of change are made one at a time.
void with_wishes(const std::function<void(Wishes&)>& change);
void note_misuse(const std::string& what);
/// The failure that a test wants of this call, or success.
ncclResult_t wanted_failure(const char* function);
/// For all live communicators.
void for_each(const std::function<void(Comm&)>& visit);

}  // namespace fake_nccl
