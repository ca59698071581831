// How long the exchanges on a device have waited for other ranks.
#pragma once

#include <cuda_runtime.h>

#include <chrono>
#include <cstddef>
#include <mutex>
#include <optional>
#include <vector>

#include "cuda/runtime.hpp"

namespace sparccl {

/// An exchange, for messages: "ncclAllGather of 136 bytes".
struct Exchange {
  const char* call = "";
  std::size_t amount = 0;
  const char* unit = "bytes";
};

/// Exchanges under way, each between two events on its stream. Its wait begins when the first is
/// complete, so that what the device does before it counts for nothing. Safe to use from two
/// threads, with the device present. Throws CUDA's errors.
class Waits {
 public:
  using Clock = std::chrono::steady_clock;

  /// Before the exchange is enqueued.
  void begin(const Exchange& exchange, cudaStream_t stream);

  /// After all exchanges that have begun are on their streams.
  void enqueued();

  /// The first exchange that has waited longer than that. Forgets those that are complete.
  [[nodiscard]] std::optional<Exchange> overdue(std::chrono::milliseconds limit);

  /// Forgets all: they have ended, one way or another.
  void clear();

 private:
  struct Wait {
    Exchange exchange;
    cudaStream_t stream = nullptr;
    cuda::Event begin;
    cuda::Event end;
    bool enqueued = false;
    bool begun = false;
    Clock::time_point since;
  };

  [[nodiscard]] static bool complete(const cuda::Event& event);

  std::mutex mutex_;
  std::vector<Wait> under_way_;
  std::vector<Wait> spare_;  // for their events
};

}  // namespace sparccl
