#include "grid.hpp"

#include <bit>
#include <cstring>
#include <exception>
#include <semaphore>

constinit thread_local uint3 threadIdx{};
constinit thread_local uint3 blockIdx{};
constinit thread_local dim3 blockDim{};
constinit thread_local dim3 gridDim{};

namespace simt::detail {

constinit thread_local Grid* grid = nullptr;
constinit thread_local Lane* self = nullptr;

namespace {

/// Ends a lane of a grid that stops.
struct Unwind {};

// Grids wait for nobody, so a few at a time will do; they bound how many fibers there are.
#if defined(__SANITIZE_THREAD__)
std::counting_semaphore<> running{2};
#else
std::counting_semaphore<> running{4};
#endif

void become(Lane* lane) {
  self = lane;
  threadIdx = lane->thread;
  blockIdx = {static_cast<unsigned>(lane->block->index), 0, 0};
}

}  // namespace

void Ready::reserve(std::size_t lanes) {
  ring_.resize(std::bit_ceil(lanes + 1));
  mask_ = ring_.size() - 1;
}

Grid::Grid(const Kernel& kernel, int device, std::uint64_t seed)
    : kernel_(kernel),
      device_(device),
      shuffled_(seed != 0),
      random_(seed),
      poison_(shuffled_ ? random_.next() : ~std::uint64_t{0}) {
  order_.resize(kernel.blocks);
  for (std::size_t i = 0; i < order_.size(); ++i) order_[i] = i;
  if (shuffled_) {
    random_.shuffle(order_);
    at_once_ = 1 + random_.below(3);
    eager_warps_ = random_.below(4) != 0;
  }
  if (kernel.cooperative || at_once_ > kernel.blocks) at_once_ = kernel.blocks;
  ready_.reserve(at_once_ * kernel.threads);
}

Grid::~Grid() { Fiber::give_back(fibers_); }

void Grid::start_block() {
  auto block = std::make_unique<Block>();
  block->index = order_[started_++];
  block->lanes.resize(kernel_.threads);
  block->warps.resize(kernel_.threads / 32);
  if (kernel_.shared_bytes != 0) {
    block->shared.reset(new std::byte[kernel_.shared_bytes]);
    for (std::size_t i = 0; i < kernel_.shared_bytes; i += sizeof poison_)
      std::memcpy(&block->shared[i], &poison_, std::min(sizeof poison_, kernel_.shared_bytes - i));
    poison_ = shuffled_ ? mix(poison_) : poison_;
  }
  if (fibers_.size() < kernel_.threads) {
    const auto more = Fiber::take(kernel_.threads - fibers_.size());
    fibers_.insert(fibers_.end(), more.begin(), more.end());
  }
  order_of_release_.clear();
  for (unsigned i = 0; i < kernel_.threads; ++i) {
    Lane& lane = block->lanes[i];
    lane.block = block.get();
    lane.thread = {i, 0, 0};
    lane.fiber = fibers_.back();
    fibers_.pop_back();
    lane.fiber->prepare(run_lane, &lane);
    order_of_release_.push_back(&lane);
  }
  if (shuffled_) random_.shuffle(order_of_release_);
  for (Lane* const lane : order_of_release_) ready_.push_back(lane);
  running_.push_back(std::move(block));
}

void Grid::finish_blocks() {
  std::erase_if(running_, [this](const std::unique_ptr<Block>& block) {
    if (block->exited < kernel_.threads) return false;
    for (const Lane& lane : block->lanes) fibers_.push_back(lane.fiber);
    return true;
  });
}

cudaError_t Grid::run() {
  running.acquire();
  grid = this;
  blockDim = dim3(kernel_.threads);
  gridDim = dim3(static_cast<unsigned>(kernel_.blocks));
  if (kernel_.threads % 32 != 0) {
    error_ = cudaErrorLaunchFailure;
    record_fault(std::string("kernel ") + kernel_.name + ": " + std::to_string(kernel_.threads) +
                 " threads in a block are not whole warps");
    started_ = kernel_.blocks;
  }
  while (error_ == cudaSuccess && (started_ < kernel_.blocks || !running_.empty())) {
    while (started_ < kernel_.blocks && running_.size() < at_once_) start_block();
    if (ready_.empty()) {
      error_ = cudaErrorLaunchFailure;
      record_fault(stuck());
      break;
    }
    Lane* const first = ready_.pop();
    become(first);
    own_.switch_to(*first->fiber);
    finish_blocks();
  }
  if (error_ != cudaSuccess) unwind();
  self = nullptr;
  grid = nullptr;
  running.release();
  ++traffic.launches;
  record_traffic(kernel_.name, traffic);
  return error_;
}

/// Every lane that waits somewhere leaves by an exception, so that what it holds is destroyed.
void Grid::unwind() {
  stopping_ = true;
  for (const auto& block : running_) {
    for (Lane& lane : block->lanes) {
      become(&lane);
      if (!lane.exited) own_.switch_to(*lane.fiber);
    }
  }
  finish_blocks();
}

/// What a fiber does each time it is given a lane.
void Grid::run_lane(void* argument) {
  Lane& lane = *static_cast<Lane*>(argument);
  Grid& of = *grid;
  Fault fault{cudaSuccess, {}};
  try {
    if (!of.stopping_) {
      of.kernel_.thread();
      of.exit(lane);
    }
  } catch (const Unwind&) {
  } catch (const Fault& thrown) {
    fault = thrown;
  } catch (const std::exception& thrown) {
    fault = {cudaErrorLaunchFailure,
             std::string("kernel ") + of.kernel_.name + ": threw an exception: " + thrown.what()};
  } catch (...) {
    fault = {cudaErrorLaunchFailure, std::string("kernel ") + of.kernel_.name + ": threw"};
  }
  if (fault.error != cudaSuccess && of.error_ == cudaSuccess) {
    of.error_ = fault.error;
    record_fault(fault.text);
  }
  std::string().swap(fault.text);  // this function never returns: nothing of it is destroyed
  if (!lane.exited) ++lane.block->exited;
  lane.exited = true;
  of.go_to_next(&lane);
}

void Grid::exit(Lane& lane) {
  Block& block = *lane.block;
  const std::size_t first = lane.thread.x / 32 * 32;
  Warp& warp = block.warps[lane.thread.x / 32];
  if (warp.arrived != 0) {
    fault(cudaErrorLaunchFailure, "warp divergence: it ends, while of warp " +
                                      std::to_string(lane.thread.x / 32) + " " +
                                      describe(&block.lanes[first], 32));
  }
  if (block.at_barrier + block.at_grid_barrier != 0) {
    fault(cudaErrorLaunchFailure,
          "barrier divergence: it ends, while " + describe(block.lanes.data(), block.lanes.size()));
  }
  ++warp.exited;
  ++block.exited;
  lane.exited = true;
  lane.waits_at = "its end";
}

/// The lane waits or is done: the next one goes on, or run().
void Grid::go_to_next(Lane* lane) {
  const bool new_block = lane->exited && lane->block->exited == kernel_.threads;
  if (error_ != cudaSuccess || ready_.empty() || new_block) {
    lane->fiber->switch_to(own_);
  } else {
    Lane* const next = ready_.pop();
    become(next);
    if (next != lane) lane->fiber->switch_to(*next->fiber);
  }
}

void Grid::wait(const char* at) {
  Lane* const lane = self;
  lane->waits_at = at;
  go_to_next(lane);
  if (stopping_) throw Unwind{};
}

void Grid::pause_sometimes() {
  if (!shuffled_ || random_.below(16) != 0) return;
  Lane* const lane = self;
  // Mostly a moment, now and then for so long that others get past their next barriers.
  for (std::size_t turns = random_.below(8) == 0 ? 64 : 1; turns > 0 && !ready_.empty(); --turns) {
    ready_.push_back(lane);
    go_to_next(lane);
    if (stopping_) throw Unwind{};
  }
}

void Grid::release(Lane* const* lanes, std::size_t count, bool of_warp) {
  for (std::size_t i = 0; i < count; ++i) lanes[i]->waits_at = nullptr;
  order_of_release_.assign(lanes, lanes + count);
  if (shuffled_) random_.shuffle(order_of_release_);
  if (of_warp && eager_warps_) {
    for (std::size_t i = count; i > 0; --i) ready_.push_front(order_of_release_[i - 1]);
  } else {
    for (Lane* const lane : order_of_release_) ready_.push_back(lane);
  }
}

void Grid::fault(cudaError_t error, const std::string& what) const {
  throw Fault{error, std::string("kernel ") + kernel_.name + ", block " +
                         std::to_string(self->block->index) + ", thread " +
                         std::to_string(self->thread.x) + ": " + what};
}

std::string Grid::stuck() const {
  std::string text = std::string("kernel ") + kernel_.name + ": deadlock:";
  for (const auto& block : running_) {
    text += " of block " + std::to_string(block->index) + " " +
            describe(block->lanes.data(), block->lanes.size()) + ";";
  }
  text.pop_back();
  return text;
}

std::string describe(const Lane* lanes, std::size_t count) {
  std::string text;
  for (std::size_t i = 0; i < count;) {
    const char* const at = lanes[i].waits_at;
    std::size_t end = i + 1;
    while (end < count && lanes[end].waits_at == at) ++end;
    if (!text.empty()) text += ", ";
    text += end - i > 1 ? "threads " : "thread ";
    text += std::to_string(lanes[i].thread.x);
    if (end - i > 1) text.append("-").append(std::to_string(lanes[end - 1].thread.x));
    text.append(at == nullptr ? " on the way" : " at ").append(at == nullptr ? "" : at);
    i = end;
  }
  return text;
}

}  // namespace simt::detail
