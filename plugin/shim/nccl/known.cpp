#include "shim/nccl/known.hpp"

#include <map>
#include <mutex>
#include <utility>

#include "shim/nccl/life.hpp"
#include "shim/nccl/real.hpp"

namespace sparccl::shim::nccl {
namespace {

struct Known {
  std::mutex mutex;
  std::map<ncclComm_t, std::shared_ptr<Comm>> comms;
  std::vector<std::shared_ptr<Comm>> aborted;
  std::map<int, int> sessions;  // by rank
};

Known& known() {
  static Known& instance = *new Known;  // never freed: there are calls until the very end
  return instance;
}

/// Out of the map, into the hands of the caller.
std::shared_ptr<Comm> take(ncclComm_t handle) {
  const std::lock_guard lock(known().mutex);
  const auto found = known().comms.find(handle);
  if (found == known().comms.end()) return nullptr;
  std::shared_ptr<Comm> comm = std::move(found->second);
  known().comms.erase(found);
  return comm;
}

bool describe(Member& member) {
  return real::comm_count(member.comm, &member.size) == ncclSuccess &&
         real::comm_user_rank(member.comm, &member.rank) == ncclSuccess &&
         real::comm_cu_device(member.comm, &member.device) == ncclSuccess;
}

}  // namespace

std::shared_ptr<Comm> comm_of(ncclComm_t handle) noexcept try {
  if (std::shared_ptr<Comm> comm = known_comm(handle)) return comm;
  Member member{.comm = handle};
  if (handle == nullptr || !describe(member)) return nullptr;
  begin(member.rank, member.size);
  auto made = std::make_shared<Comm>(member);
  const std::lock_guard lock(known().mutex);
  known().comms.insert_or_assign(handle, made);
  return made;
} catch (...) {  // out of memory
  return nullptr;
}

std::shared_ptr<Comm> known_comm(ncclComm_t handle) noexcept {
  const std::lock_guard lock(known().mutex);
  const auto found = known().comms.find(handle);
  return found != known().comms.end() ? found->second : nullptr;
}

void end(ncclComm_t handle) noexcept {
  if (const std::shared_ptr<Comm> comm = take(handle)) comm->end();
}

void abort(ncclComm_t handle) noexcept {
  const std::shared_ptr<Comm> comm = take(handle);
  if (comm == nullptr) return;
  comm->abort();
  const std::lock_guard lock(known().mutex);
  known().aborted.push_back(comm);
}

void free_aborted() noexcept {
  std::vector<std::shared_ptr<Comm>> aborted;
  {
    const std::lock_guard lock(known().mutex);
    aborted.swap(known().aborted);
  }
}

std::vector<std::shared_ptr<Comm>> all_comms() {
  const std::lock_guard lock(known().mutex);
  std::vector<std::shared_ptr<Comm>> comms;
  for (const auto& [handle, comm] : known().comms) comms.push_back(comm);
  return comms;
}

int ordinal_at_rank(int rank) {
  const std::lock_guard lock(known().mutex);
  return known().sessions[rank]++;
}

}  // namespace sparccl::shim::nccl
