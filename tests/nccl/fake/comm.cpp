#include "comm.hpp"

#include <cstdint>
#include <cstdlib>
#include <map>
#include <utility>

namespace fake_nccl {
namespace {

struct Registry {
  std::mutex mutex;
  std::uintptr_t next = 0x4000;
  std::map<ncclComm_t, std::shared_ptr<Comm>> live;
  std::recursive_mutex wishes_mutex;
  Wishes wishes;
};

Registry& registry() {
  static auto* const one = new Registry;  // threads may outlive static objects
  return *one;
}

}  // namespace

int version_at_first() {
  const char* const wanted = std::getenv("FAKE_NCCL_VERSION");
  return wanted != nullptr ? std::atoi(wanted) : NCCL_VERSION_CODE;
}

ncclComm_t add(std::shared_ptr<Comm> comm) {
  Registry& all = registry();
  const std::lock_guard<std::mutex> lock(all.mutex);
  static const bool again = std::getenv("FAKE_NCCL_REUSES_HANDLES") != nullptr;
  if (again) all.next = 0x4000;
  ncclComm_t handle = nullptr;
  do {
    handle = reinterpret_cast<ncclComm_t>(all.next += 16);
  } while (all.live.contains(handle));
  all.live.emplace(handle, std::move(comm));
  return handle;
}

std::shared_ptr<Comm> find(ncclComm_t handle, const char* call) {
  {
    Registry& all = registry();
    const std::lock_guard<std::mutex> lock(all.mutex);
    const auto found = all.live.find(handle);
    if (found != all.live.end()) return found->second;
  }
  note_misuse(std::string(call) + " of a communicator that is none, or no more");
  return nullptr;
}

void remove(ncclComm_t handle) {
  Registry& all = registry();
  const std::lock_guard<std::mutex> lock(all.mutex);
  all.live.erase(handle);
}

std::size_t live() {
  Registry& all = registry();
  const std::lock_guard<std::mutex> lock(all.mutex);
  return all.live.size();
}

void for_each(const std::function<void(Comm&)>& visit) {
  Registry& all = registry();
  const std::lock_guard<std::mutex> lock(all.mutex);
  for (const auto& [handle, comm] : all.live) visit(*comm);
}

void with_wishes(const std::function<void(Wishes&)>& change) {
  Registry& all = registry();
  const std::lock_guard<std::recursive_mutex> lock(all.wishes_mutex);
  change(all.wishes);
}

void note_misuse(const std::string& what) {
  with_wishes([&](Wishes& wishes) {
    if (wishes.misuse.empty()) wishes.misuse = what;
  });
}

ncclResult_t wanted_failure(const char* function) {
  ncclResult_t result = ncclSuccess;
  with_wishes([&](Wishes& wishes) {
    if (wishes.fail_function != function) return;
    result = wishes.fail_result;
    wishes.fail_function.clear();
    wishes.last_error = std::string(function) + " was made to fail";
  });
  return result;
}

Visit::Visit(ncclComm_t handle, const char* call) : comm_(find(handle, call)) {
  refusal_ = ncclInvalidArgument;
  if (comm_ == nullptr) return;
  const std::lock_guard<std::mutex> lock(comm_->mutex);
  if (comm_->inside != std::thread::id()) {
    note_misuse(std::string(call) + " while another thread is in a call of the same communicator");
    return;
  }
  comm_->inside = std::this_thread::get_id();
  entered_ = true;
  refusal_ = ncclSuccess;
}

Visit::~Visit() {
  if (!entered_) return;
  const std::lock_guard<std::mutex> lock(comm_->mutex);
  comm_->inside = {};
}

void join(Comm& comm) {
  std::thread job;
  {
    const std::lock_guard<std::mutex> lock(comm.mutex);
    job = std::move(comm.job);
  }
  if (job.joinable()) job.join();
}

ncclResult_t run(const std::vector<std::shared_ptr<Comm>>& comms,
                 std::function<ncclResult_t()> work) {
  if (comms.empty()) return ncclSuccess;
  if (comms.front()->blocking) return work();
  for (const auto& comm : comms) {
    join(*comm);
    const std::lock_guard<std::mutex> lock(comm->mutex);
    comm->in_progress = true;
  }
  std::thread job([comms, work = std::move(work)] {
    const ncclResult_t result = work();
    for (const auto& comm : comms) {
      const std::lock_guard<std::mutex> lock(comm->mutex);
      comm->in_progress = false;
      if (comm->error == ncclSuccess) comm->error = result;
    }
  });
  const std::lock_guard<std::mutex> lock(comms.front()->mutex);
  comms.front()->job = std::move(job);
  return ncclInProgress;
}

}  // namespace fake_nccl
