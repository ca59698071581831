#include <algorithm>
#include <cmath>
#include <cstring>
#include <vector>

#include "baselines.hpp"
#include "failures.hpp"
#include "settings.hpp"

namespace sparccl::perf {
namespace {

class Naive final : public Baseline {
 public:
  Naive(Ranks& ranks, const BaselineShape& shape)
      : ranks_(ranks),
        k_(static_cast<std::size_t>(shape.k)),
        average_(shape.reduction == Reduction::avg),
        residual_(shape.count),
        order_(shape.count),
        positions_(k_ * static_cast<std::size_t>(ranks.size())),
        values_(positions_.size()) {}

  void operator()(const void* send, void* recv, std::size_t count) override {
    const auto* const gradient = static_cast<const float*>(send);
    auto* const result = static_cast<float*>(recv);
    for (std::size_t j = 0; j < count; ++j) residual_[j] += gradient[j];
    select(count);
    ranks_.all_gather(positions_.data(), k_ * sizeof(std::int32_t));
    ranks_.all_gather(values_.data(), k_ * sizeof(float));
    std::fill_n(result, count, 0.0f);
    for (std::size_t i = 0; i < values_.size(); ++i) {
      result[static_cast<std::size_t>(positions_[i])] += values_[i];
    }
    if (average_) divide(result, count, ranks_.size());
  }

  [[nodiscard]] std::span<const std::byte> residual() const override {
    return std::as_bytes(std::span(residual_));
  }
  [[nodiscard]] std::uint64_t sparse_wire_bytes() const override {
    return static_cast<std::uint64_t>(ranks_.size() - 1) * k_ *
           (sizeof(std::int32_t) + sizeof(float));
  }

 private:
  void select(std::size_t count) {
    for (std::size_t j = 0; j < count; ++j) order_[j] = static_cast<std::int32_t>(j);
    const auto at = [&](std::int32_t j) -> float& {
      return residual_[static_cast<std::size_t>(j)];
    };
    std::ranges::nth_element(
        order_, order_.begin() + static_cast<std::ptrdiff_t>(k_ - 1),
        [&](std::int32_t x, std::int32_t y) { return std::fabs(at(x)) > std::fabs(at(y)); });
    const std::size_t mine = static_cast<std::size_t>(ranks_.rank()) * k_;
    for (std::size_t i = 0; i < k_; ++i) {
      positions_[mine + i] = order_[i];
      values_[mine + i] = at(order_[i]);
      at(order_[i]) = 0;
    }
  }

  Ranks& ranks_;
  std::size_t k_;
  bool average_;
  std::vector<float> residual_;
  std::vector<std::int32_t> order_;
  std::vector<std::int32_t> positions_;  // [ranks][k]
  std::vector<float> values_;            // [ranks][k]
};

}  // namespace

std::unique_ptr<Baseline> naive_baseline(Ranks& ranks, const BaselineShape& shape) {
  if (shape.type != DataType::float32) {
    throw NotMeasured(std::string("baseline naive: written for float alone, not for ") +
                      type_name(shape.type));
  }
  return std::make_unique<Naive>(ranks, shape);
}

}  // namespace sparccl::perf
