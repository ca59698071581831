#include "host_data.hpp"

#include <cmath>

namespace sparccl::bench {

void fill_gaussian(std::vector<float>& out, std::uint64_t seed, float scale) {
  std::uint64_t x = seed * 0x9e3779b97f4a7c15u + 1;
  const auto uniform = [&] {
    x ^= x << 13;
    x ^= x >> 7;
    x ^= x << 17;
    return static_cast<float>((x >> 40) + 1) * 0x1p-24f;
  };
  for (std::size_t i = 0; i + 1 < out.size(); i += 2) {
    const float radius = scale * std::sqrt(-2.0f * std::log(uniform()));
    const float angle = 6.2831853f * uniform();
    out[i] = radius * std::cos(angle);
    out[i + 1] = radius * std::sin(angle);
  }
  if (out.size() % 2 != 0) out.back() = scale;
}

Gradients::Gradients(std::size_t count, bool feedback, std::uint64_t seed) : feedback_(feedback) {
  if (!feedback) {
    fill_gaussian(noise_.emplace_back(count + windows * window), seed * 16 + 1);
    return;
  }
  std::vector<float> common(count), scale(count);
  fill_gaussian(common, seed * 16 + 14, 0.5f);
  fill_gaussian(scale, 99);  // the same on every rank
  for (std::uint64_t j = 0; j < 4; ++j) {
    auto& g = noise_.emplace_back(count);
    fill_gaussian(g, seed * 16 + j + 1);
    for (std::size_t i = 0; i < count; ++i) g[i] = (common[i] + g[i]) * std::exp(scale[i]);
  }
}

}  // namespace sparccl::bench
