// Where the lanes of a warp, a block and a grid meet.
#include "grid.hpp"

namespace simt::detail {

namespace {

const char* name_of(WarpOp op) {
  switch (op) {
    case WarpOp::any: return "any";
    case WarpOp::ballot: return "ballot";
    case WarpOp::shuffle: return "shuffle";
    case WarpOp::shuffle_up: return "shuffle_up";
    case WarpOp::shuffle_xor: return "shuffle_xor";
    case WarpOp::barrier: return "warp_barrier";
  }
  return "?";
}

[[noreturn]] void diverged(const char* at) {
  const unsigned index = self->thread.x / 32;
  grid->fault(cudaErrorLaunchFailure, std::string("warp divergence: it is at ") + at +
                                          ", while of warp " + std::to_string(index) + " " +
                                          describe(&self->block->lanes[index * 32], 32));
}

Warp& arrive(WarpOp op, std::size_t bytes) {
  Warp& warp = self->block->warps[self->thread.x / 32];
  if (warp.exited != 0 || warp.at_barrier != 0 ||
      (warp.arrived != 0 && (warp.op != op || warp.bytes != bytes)))
    diverged(name_of(op));
  warp.op = op;
  warp.bytes = bytes;
  return warp;
}

/// Returns when all 32 lanes have come; the last one goes on without a switch.
void meet(Warp& warp) {
  if (++warp.arrived < 32) {
    grid->wait(name_of(warp.op));
    return;
  }
  warp.arrived = 0;
  warp.turn ^= 1;
  warp.votes[warp.turn] = 0;
  ++grid->traffic.warp_operations;
  Lane* others[31];
  std::size_t count = 0;
  Lane* const first = &self->block->lanes[self->thread.x / 32 * 32];
  for (Lane* lane = first; lane != first + 32; ++lane) {
    if (lane != self) others[count++] = lane;
  }
  grid->release(others, count, true);
}

void require_kernel(const char* what) {
  if (self == nullptr) throw std::logic_error(std::string(what) + " outside of a kernel");
}

void release_all(Block& block) {
  std::vector<Lane*> lanes;
  lanes.reserve(block.lanes.size());
  for (Lane& lane : block.lanes) lanes.push_back(&lane);
  for (Warp& warp : block.warps) warp.at_barrier = 0;
  block.at_barrier = block.at_grid_barrier = 0;
  grid->release(lanes.data(), lanes.size(), false);
}

void arrive_at_barrier(const char* at, bool of_grid) {
  Block& block = *self->block;
  Warp& warp = block.warps[self->thread.x / 32];
  if (warp.arrived != 0) diverged(at);
  if (block.exited != 0 || (of_grid ? block.at_barrier : block.at_grid_barrier) != 0) {
    grid->fault(cudaErrorLaunchFailure, std::string("barrier divergence: it is at ") + at +
                                            ", while " +
                                            describe(block.lanes.data(), block.lanes.size()));
  }
  ++warp.at_barrier;
  ++(of_grid ? block.at_grid_barrier : block.at_barrier);
}

}  // namespace

unsigned vote(WarpOp op, bool predicate) {
  require_kernel("a warp operation");
  Warp& warp = arrive(op, 0);
  const unsigned turn = warp.turn;
  if (predicate) warp.votes[turn] |= 1u << (self->thread.x % 32);
  meet(warp);
  return warp.votes[turn];
}

std::uint64_t exchange(WarpOp op, std::uint64_t bits, std::size_t bytes, unsigned argument) {
  require_kernel("a warp operation");
  const unsigned lane = self->thread.x % 32;
  Warp& warp = arrive(op, bytes);
  const unsigned turn = warp.turn;
  warp.values[turn][lane] = bits;
  meet(warp);
  unsigned from = lane;
  if (op == WarpOp::shuffle) from = argument % 32;
  if (op == WarpOp::shuffle_up && argument <= lane) from = lane - argument;
  if (op == WarpOp::shuffle_xor && argument < 32) from = lane ^ argument;
  return warp.values[turn][from];
}

void warp_barrier() {
  require_kernel("a warp operation");
  meet(arrive(WarpOp::barrier, 0));
}

void pause_sometimes() { grid->pause_sometimes(); }

void* shared_memory(std::size_t bytes) {
  require_kernel("shared memory");
  if (bytes != grid->kernel().shared_bytes) {
    grid->fault(cudaErrorLaunchFailure, "uses " + std::to_string(bytes) +
                                            " bytes of shared memory and was launched with " +
                                            std::to_string(grid->kernel().shared_bytes));
  }
  return self->block->shared.get();
}

void grid_barrier(std::uint32_t* arrived) {
  require_kernel("a barrier");
  if (!grid->kernel().cooperative)
    grid->fault(cudaErrorLaunchFailure, "at grid_barrier, but not launched as cooperative");
  if (grid->at_grid_barrier != 0 && grid->grid_barrier_word != arrived)
    grid->fault(cudaErrorLaunchFailure, "at another grid_barrier than the rest of the grid");
  if (self->thread.x == 0) {  // CUDA's counts blocks there: 31 bits, and one that flips each round
    const auto* const word = static_cast<std::uint32_t*>(to_update(arrived, sizeof *arrived));
    if ((*word & 0x7fffffffu) != 0)
      grid->fault(cudaErrorLaunchFailure, "the word of grid_barrier was not 0 to begin with");
  }
  arrive_at_barrier("grid_barrier", true);
  grid->grid_barrier_word = arrived;
  if (++grid->at_grid_barrier == grid->lanes()) {
    grid->at_grid_barrier = 0;
    *static_cast<std::uint32_t*>(to_update(arrived, sizeof *arrived)) ^= 0x80000000u;
    --grid->traffic.atomics;
    for (const auto& block : grid->blocks()) release_all(*block);
  }
  grid->wait("grid_barrier");
}

}  // namespace simt::detail

void __syncthreads() {
  using namespace simt::detail;
  require_kernel("a barrier");
  arrive_at_barrier("__syncthreads", false);
  if (self->block->at_barrier == self->block->lanes.size()) {
    ++grid->traffic.barriers;
    release_all(*self->block);
  }
  grid->wait("__syncthreads");
}
