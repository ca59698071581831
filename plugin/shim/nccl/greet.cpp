#include "shim/nccl/greet.hpp"

#include <chrono>
#include <cstring>
#include <future>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "cuda/runtime.hpp"
#include "shim/nccl/real.hpp"
#include "transport/nccl_comm.hpp"

namespace sparccl::shim::nccl {
namespace {

using Clock = NcclComm::Clock;

void require(ncclResult_t code, const char* call) {
  if (code == ncclSuccess || code == ncclInProgress) return;
  throw Error(code_of(code), std::string(call) + " failed: " + words(code));
}

/// What all ranks say, on the device and on the host.
struct Room {
  explicit Room(std::size_t bytes) : host(bytes) { cuda::check(cudaMalloc(&device, bytes)); }
  ~Room() { static_cast<void>(cudaFree(device)); }
  Room(const Room&) = delete;
  Room& operator=(const Room&) = delete;

  cuda::PinnedBuffer host;
  void* device = nullptr;
  cuda::Event done;
};

/// NCCL may still write to it.
void keep_for_ever(const std::shared_ptr<Room>& room) {
  static std::mutex mutex;
  static auto& kept = *new std::vector<std::shared_ptr<Room>>;
  const std::lock_guard lock(mutex);
  kept.push_back(room);
}

class Patience {
 public:
  Patience(const Member& member, std::uint64_t timeout_ms, const std::atomic<bool>& aborted)
      : member_(member), timeout_ms_(timeout_ms), aborted_(aborted) {}

  /// Until done(), unless it takes too long.
  template <class Done>
  void wait(const Done& done) const {
    while (!done()) {
      if (aborted_) throw Error(Result::aborted, "the communicator was aborted");
      if (timeout_ms_ != 0 && Clock::now() - start_ > std::chrono::milliseconds(timeout_ms_)) {
        throw Error(Result::timeout,
                    "rank " + std::to_string(member_.rank) + " waited " +
                        std::to_string(timeout_ms_) + " ms for all " +
                        std::to_string(member_.size) +
                        " ranks to make their first call under this shim; is LD_PRELOAD set on "
                        "every host?");
      }
      pause_since(start_);
    }
  }

 private:
  const Member& member_;
  const std::uint64_t timeout_ms_;
  const std::atomic<bool>& aborted_;
  const Clock::time_point start_ = Clock::now();
};

/// On a thread of its own: the first call of a communicator connects its ranks, which waits for all
/// of them inside of NCCL.
void gather(const Member& member, const std::shared_ptr<Room>& room, cudaStream_t stream,
            const Patience& patience) {
  std::packaged_task<ncclResult_t()> task([member, room, stream] {
    attend_device(member.device);
    auto* const all = static_cast<std::byte*>(room->device);
    const std::byte* const own = all + static_cast<std::size_t>(member.rank) * Greeting::bytes;
    return real::all_gather(own, all, Greeting::bytes, ncclUint8, member.comm, stream);
  });
  std::future<ncclResult_t> result = task.get_future();
  std::thread thread(std::move(task));
  try {
    patience.wait(
        [&] { return result.wait_for(std::chrono::seconds(0)) == std::future_status::ready; });
  } catch (...) {
    thread.detach();
    throw;
  }
  thread.join();
  require(result.get(), "ncclAllGather");
  patience.wait([&] {  // where it is nonblocking
    ncclResult_t state = ncclSuccess;
    require(real::comm_get_async_error(member.comm, &state), "ncclCommGetAsyncError");
    require(state, "ncclAllGather");
    return state == ncclSuccess;
  });
}

void exchange(const Member& member, const std::shared_ptr<Room>& room, cudaStream_t stream,
              const Patience& patience) {
  auto* const host = static_cast<std::byte*>(room->host.data());
  auto* const device = static_cast<std::byte*>(room->device);
  const std::size_t own = static_cast<std::size_t>(member.rank) * Greeting::bytes;
  cuda::check(
      cudaMemcpyAsync(device + own, host + own, Greeting::bytes, cudaMemcpyHostToDevice, stream));
  gather(member, room, stream, patience);
  cuda::check(cudaMemcpyAsync(host, device, room->host.bytes(), cudaMemcpyDeviceToHost, stream));
  cuda::check(cudaEventRecord(room->done.get(), stream));
  patience.wait([&] {
    const cudaError_t code = cudaEventQuery(room->done.get());
    if (code != cudaErrorNotReady) cuda::check(code);
    if (code != cudaSuccess) static_cast<void>(cudaGetLastError());
    return code == cudaSuccess;
  });
}

}  // namespace

void greet(const Member& member, const Greeting& own, cudaStream_t stream, std::uint64_t timeout_ms,
           const std::atomic<bool>& aborted) {
  const auto ranks = static_cast<std::size_t>(member.size);
  const auto room = std::make_shared<Room>(ranks * Greeting::bytes);
  auto* const all = static_cast<std::byte*>(room->host.data());
  const std::vector<std::byte> mine = own.packed();
  std::memcpy(all + static_cast<std::size_t>(member.rank) * Greeting::bytes, mine.data(),
              mine.size());
  try {
    exchange(member, room, stream, Patience(member, timeout_ms, aborted));
  } catch (...) {
    keep_for_ever(room);
    throw;
  }
  require_agreement({all, ranks * Greeting::bytes});
}

}  // namespace sparccl::shim::nccl
