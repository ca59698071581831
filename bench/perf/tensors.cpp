#include "tensors.hpp"

#include <algorithm>
#include <chrono>
#include <vector>

namespace sparccl::perf {
namespace {

using Clock = std::chrono::steady_clock;

double since(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

}  // namespace

Tensors::Tensors(Ranks& ranks, Device& device, DataType type, std::size_t count)
    : ranks_(ranks),
      device_(device),
      width_(size_of(type)),
      bytes_(count * width_),
      gradients_(device.allocate((count + spread_entries) * width_)),
      result_(device.allocate(bytes_)) {
  constexpr std::size_t piece = 1 << 20;
  std::vector<std::byte> numbers;
  const std::size_t all = count + spread_entries;
  for (std::size_t first = 0; first < all; first += piece) {
    numbers.resize(std::min(piece, all - first) * width_);
    fill_normal(type, ranks.rank(), first, numbers);
    device.upload(static_cast<std::byte*>(gradients_.get()) + first * width_, numbers.data(),
                  numbers.size());
  }
}

const void* Tensors::gradient() {
  return static_cast<const std::byte*>(gradients_.get()) + window(step_++) * width_;
}

double Tensors::seconds(const Allreduce& call, int calls, bool in_place) {
  double sum = 0;
  if (in_place) {
    for (int i = 0; i < calls; ++i) {
      device_.copy(result_.get(), gradient(), bytes_);
      device_.synchronize();
      ranks_.barrier();
      const Clock::time_point start = Clock::now();
      call(result_.get(), result_.get());
      device_.synchronize();
      sum += since(start);
    }
  } else {
    ranks_.barrier();
    const Clock::time_point start = Clock::now();
    for (int i = 0; i < calls; ++i) call(gradient(), result_.get());
    device_.synchronize();
    sum = since(start);
  }
  return sum / calls;
}

}  // namespace sparccl::perf
