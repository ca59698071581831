#include "host/sample.hpp"

#include <algorithm>
#include <cmath>
#include <functional>

namespace sparccl::host {
namespace {

/// The r largest of a stream of scores, in a buffer of a few r.
template <class A>
class LargestOfStream {
 public:
  LargestOfStream(A* buffer, std::size_t room, std::size_t r)
      : buffer_(buffer), room_(room), r_(r) {}

  [[nodiscard]] Bits<A> bound() const { return bound_; }

  void add(A score) {
    buffer_[size_++] = score;
    if (size_ == room_) thin_out();
  }

  /// The r-th largest of all, as bits; 0 if there were fewer.
  [[nodiscard]] Bits<A> finish() {
    if (size_ >= r_) thin_out();
    return bound_;
  }

 private:
  void thin_out() {
    std::nth_element(buffer_, buffer_ + (r_ - 1), buffer_ + size_, [](A a, A b) {
      return magnitude_bits(a) > magnitude_bits(b);  // a total order also with NaN
    });
    size_ = r_;
    bound_ = magnitude_bits(buffer_[r_ - 1]);
  }

  A* buffer_;
  std::size_t room_;
  std::size_t r_;
  std::size_t size_ = 0;
  Bits<A> bound_ = 0;
};

}  // namespace

template <class G, class A>
Bits<A> sampled_bound(const Plan& plan, const Step& step, const Memory& memory,
                      const Workspace<A>& work) {
  constexpr std::size_t line = line_size<A>;
  constexpr std::size_t ahead = 16;  // groups; far enough to hide a miss
  constexpr Bits<A> largest_finite = magnitude_bits(std::numeric_limits<A>::max());
  const std::size_t lines = lines_per_group(plan);
  const std::size_t group_size = lines * line;
  const std::size_t groups = plan.count / group_size;
  const std::size_t capacity = candidate_capacity(plan);
  const std::size_t r = rank_in_sample(plan, groups * line);
  if (groups * line < 2 * r) return 0;

  const auto* gradient = static_cast<const G*>(step.gradient);
  const auto* residual = static_cast<const A*>(memory.residual);
  const auto scale = static_cast<A>(step.scale);
  const auto mu = damping_mu<A>(plan.mu);
  const auto* ratios = static_cast<const A*>(memory.sent_ratios);
  Entries history(memory.sent_per_block, plan.blocks(), memory.sent_offsets);
  LargestOfStream<A> largest(work.scores, std::min(capacity, 4 * r), r);

  const std::uint64_t seed = *memory.step;
  const auto start = [&](std::size_t group) {
    return group * group_size + sampled_line(seed, group, lines) * line;
  };
  for (std::size_t group = 0; group < groups; ++group) {
    if (group + ahead < groups) {
      const std::size_t later = start(group + ahead);
      __builtin_prefetch(gradient + later);
      __builtin_prefetch(residual + later);
    }
    const std::size_t begin = start(group);
    A scores[line];
    Bits<A> most = 0;
    for (std::size_t i = 0; i < line; ++i) {
      scores[i] =
          sparccl::accumulate(residual[begin + i], scale, Convert<G>::up(gradient[begin + i]));
      most = std::max(most, magnitude_bits(scores[i]));
    }
    if (most < largest.bound()) continue;
    if (plan.mu > 0) {
      history.visit(begin, begin + line, [&](std::size_t offset, std::size_t index) {
        A& score = scores[offset - begin % block_size];
        score *= damping(plan.distortion, ratios[index], score, mu);
      });
    }
    for (std::size_t i = 0; i < line; ++i) {
      if (magnitude_bits(scores[i]) >= largest.bound()) largest.add(scores[i]);
    }
  }
  return std::min(largest.finish(), largest_finite);
}

template Bits<float> sampled_bound<float, float>(const Plan&, const Step&, const Memory&,
                                                 const Workspace<float>&);
template Bits<float> sampled_bound<float16, float>(const Plan&, const Step&, const Memory&,
                                                   const Workspace<float>&);
template Bits<float> sampled_bound<bfloat16, float>(const Plan&, const Step&, const Memory&,
                                                    const Workspace<float>&);
template Bits<double> sampled_bound<double, double>(const Plan&, const Step&, const Memory&,
                                                    const Workspace<double>&);

}  // namespace sparccl::host
