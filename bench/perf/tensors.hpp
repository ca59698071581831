// One rank's tensors of a size and type: what is timed, call by call.
#pragma once

#include <cstddef>
#include <functional>

#include "data.hpp"
#include "device.hpp"
#include "ranks.hpp"

namespace sparccl::perf {

/// send, recv: [count], equal or disjoint.
using Allreduce = std::function<void(const void* send, void* recv)>;

class Tensors {
 public:
  Tensors(Ranks& ranks, Device& device, DataType type, std::size_t count);

  /// Seconds a call, on this rank, of so many calls from a common start. Out-of-place calls follow
  /// each other. In place, where the result has overwritten the gradient, each has a gradient
  /// copied in before, and a start, of its own.
  [[nodiscard]] double seconds(const Allreduce& call, int calls, bool in_place);

 private:
  [[nodiscard]] const void* gradient();

  Ranks& ranks_;
  Device& device_;
  std::size_t width_;
  std::size_t bytes_;
  Device::Buffer gradients_;  // [count + spread_entries]
  Device::Buffer result_;     // [count]
  std::size_t step_ = 0;
};

}  // namespace sparccl::perf
