// Numbers to sparsify, made on the host.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

namespace sparccl::bench {

/// Normal numbers from a generator that is fast enough for billions: a sum of four uniforms would
/// have no tails, so Box-Muller over xorshift.
void fill_gaussian(std::vector<float>& out, std::uint64_t seed, float scale = 1.0f);

/// Gradients of one rank, step by step.
///   gaussian: fresh numbers (a window that moves over a longer list);
///   feedback: what training has: scales that differ from coordinate to coordinate, and a part that
///   stays from step to step.
class Gradients {
 public:
  Gradients(std::size_t count, bool feedback, std::uint64_t seed);
  const float* operator[](std::size_t step) const {
    return feedback_ ? noise_[step % noise_.size()].data()
                     : noise_[0].data() + step % windows * window;
  }

 private:
  static constexpr std::size_t windows = 1024;
  static constexpr std::size_t window = 1040;
  bool feedback_;
  std::vector<std::vector<float>> noise_;
};

}  // namespace sparccl::bench
