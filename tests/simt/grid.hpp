// A running kernel: its blocks, their threads as fibers ("lanes"), and who goes next.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "fiber.hpp"
#include "memory.hpp"
#include "random.hpp"
#include "standin/kernel.h"

namespace simt::detail {

struct Block;

struct Lane {
  Block* block = nullptr;
  Fiber* fiber = nullptr;
  uint3 thread{};
  const char* waits_at = nullptr;  // null: runs or may run
  bool exited = false;
};

struct Warp {
  unsigned arrived = 0;     // at the warp operation below
  unsigned at_barrier = 0;  // of the block or the grid
  unsigned exited = 0;
  WarpOp op{};
  std::size_t bytes = 0;
  // By turns: a lane may be at the next operation before another has read this one's outcome.
  unsigned turn = 0;
  unsigned votes[2]{};
  std::uint64_t values[2][32]{};
};

struct Block {
  std::size_t index = 0;
  std::vector<Lane> lanes;
  std::vector<Warp> warps;
  std::unique_ptr<std::byte[]> shared;
  std::size_t at_barrier = 0;
  std::size_t at_grid_barrier = 0;
  std::size_t exited = 0;
};

/// The first thing that a kernel did wrong. Thrown on fibers, and never leaves them.
struct Fault {
  cudaError_t error;
  std::string text;
};

/// Lanes that may run, in order.
class Ready {
 public:
  void reserve(std::size_t lanes);
  [[nodiscard]] bool empty() const { return first_ == last_; }
  Lane* pop() { return ring_[first_++ & mask_]; }
  void push_back(Lane* lane) { ring_[last_++ & mask_] = lane; }
  void push_front(Lane* lane) { ring_[--first_ & mask_] = lane; }

 private:
  std::vector<Lane*> ring_;
  std::size_t mask_ = 0, first_ = 0, last_ = 0;
};

class Grid {
 public:
  Grid(const Kernel& kernel, int device, std::uint64_t seed);
  ~Grid();
  Grid(const Grid&) = delete;
  Grid& operator=(const Grid&) = delete;

  /// On the calling thread, to the end. cudaSuccess, or what went wrong.
  cudaError_t run();

  // For lanes.
  void wait(const char* at);
  void pause_sometimes();
  void release(Lane* const* lanes, std::size_t count, bool of_warp);
  [[noreturn]] void fault(cudaError_t error, const std::string& what) const;
  Allocation* find(std::uintptr_t address);

  [[nodiscard]] const Kernel& kernel() const { return kernel_; }
  [[nodiscard]] int device() const { return device_; }
  [[nodiscard]] std::size_t lanes() const { return kernel_.blocks * kernel_.threads; }
  std::vector<std::unique_ptr<Block>>& blocks() { return running_; }

  Traffic traffic;
  std::size_t at_grid_barrier = 0;  // lanes
  std::uint32_t* grid_barrier_word = nullptr;

 private:
  static void run_lane(void* lane);
  void start_block();
  void finish_blocks();
  void unwind();
  void go_to_next(Lane* self);
  void exit(Lane& lane);
  [[nodiscard]] std::string stuck() const;

  const Kernel& kernel_;
  const int device_;
  const bool shuffled_;
  Random random_;
  std::uint64_t poison_;
  std::vector<std::size_t> order_;  // of blocks
  std::size_t started_ = 0;
  std::size_t at_once_ = 1;
  bool eager_warps_ = true;  // what a warp operation releases goes first: kinder to the caches
  std::vector<std::unique_ptr<Block>> running_;
  std::vector<Fiber*> fibers_;  // idle
  Fiber own_;
  Ready ready_;
  std::vector<Lane*> order_of_release_;
  bool stopping_ = false;
  cudaError_t error_ = cudaSuccess;

  struct Known {
    std::uintptr_t begin = 0;
    std::size_t bytes = 0;
    AllocationPointer allocation;
  };
  std::array<Known, 8> known_{};
  std::size_t next_known_ = 0, last_known_ = 0;
  std::uint64_t epoch_ = 0;
};

/// What runs on this thread; both null on hosts and in host functions.
extern constinit thread_local Grid* grid;
extern constinit thread_local Lane* self;

/// "threads 0-31 wait at ballot, thread 32 exited".
[[nodiscard]] std::string describe(const Lane* lanes, std::size_t count);

void record_fault(const std::string& text);
void record_traffic(const std::string& kernel, const Traffic& traffic);

}  // namespace simt::detail
