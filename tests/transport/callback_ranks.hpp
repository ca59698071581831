// Functions for sparcclTransport_t by which threads of one process reach each other.
#pragma once

#include <atomic>
#include <barrier>
#include <cstddef>
#include <cstring>
#include <vector>

#include <sparccl/transport.h>

namespace sparccl::test {

/// One for all ranks. Each copies between two barriers, so that nobody reads what is being written.
class CallbackHub {
 public:
  explicit CallbackHub(int ranks)
      : barrier_(ranks), shown_(static_cast<std::size_t>(ranks)), sizes_(shown_.size()) {}

  struct Rank {
    CallbackHub* hub;
    int rank;
    int fail_at = -1;  // the call that returns `code`, on every rank: nobody is left waiting
    int code = 42;
    std::atomic<int> calls = 0;
    std::atomic<int> gave_up = 0;
    std::atomic<int> aborted = 0;
    sparcclResult_t reason = sparcclSuccess;
  };

  static int all_gather(void* context, void* slots, std::size_t bytes) {
    auto& self = *static_cast<Rank*>(context);
    if (self.calls++ == self.fail_at) return self.code;
    CallbackHub& hub = *self.hub;
    auto* const base = static_cast<std::byte*>(slots);
    hub.shown_[static_cast<std::size_t>(self.rank)] =
        base + bytes * static_cast<std::size_t>(self.rank);
    hub.sizes_[static_cast<std::size_t>(self.rank)] = bytes;
    hub.barrier_.arrive_and_wait();
    for (const std::size_t size : hub.sizes_) {
      if (size != hub.sizes_[0]) return 43;  // all ranks alike
    }
    for (std::size_t r = 0; r < hub.shown_.size(); ++r) {
      std::byte* const slot = base + bytes * r;
      if (slot != hub.shown_[r]) std::memcpy(slot, hub.shown_[r], bytes);
    }
    hub.barrier_.arrive_and_wait();
    return 0;
  }
  static void give_up(void* context, sparcclResult_t reason) {
    auto& self = *static_cast<Rank*>(context);
    ++self.gave_up;
    self.reason = reason;
  }
  static void abort(void* context) { ++static_cast<Rank*>(context)->aborted; }

  [[nodiscard]] sparcclTransport_t functions(Rank& rank) const {
    sparcclTransport_t functions = SPARCCL_TRANSPORT_INITIALIZER;
    functions.rank = rank.rank;
    functions.nranks = static_cast<int>(shown_.size());
    functions.context = &rank;
    functions.allGather = all_gather;
    functions.giveUp = give_up;
    functions.abort = abort;
    return functions;
  }

 private:
  std::barrier<> barrier_;
  std::vector<const std::byte*> shown_;
  std::vector<std::size_t> sizes_;
};

}  // namespace sparccl::test
