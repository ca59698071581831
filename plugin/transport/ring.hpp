// Who comes after whom where each rank talks to its two neighbours alone.
#pragma once

#include <algorithm>
#include <cstddef>
#include <numeric>
#include <vector>

namespace sparccl {

/// Ranks of a node stand together: of each node one rank alone talks to the next node.
class Ring {
 public:
  /// nodes: [ranks] as Transport::nodes().
  Ring(const std::vector<int>& nodes, int rank) : order_(nodes.size()) {
    std::iota(order_.begin(), order_.end(), 0);
    std::ranges::stable_sort(order_, {}, [&](int each) { return nodes[std::size_t(each)]; });
    place_ = static_cast<std::size_t>(std::ranges::find(order_, rank) - order_.begin());
    spans_nodes_ = std::ranges::any_of(nodes, [&](int node) { return node != nodes[0]; });
  }

  [[nodiscard]] bool spans_nodes() const noexcept { return spans_nodes_; }
  /// The rank so many places to the right, fewer than there are ranks.
  [[nodiscard]] int right(std::size_t places) const noexcept {
    return order_[(place_ + places) % order_.size()];
  }
  [[nodiscard]] int left(std::size_t places) const noexcept {
    return right(order_.size() - places);
  }

 private:
  std::vector<int> order_;
  std::size_t place_ = 0;
  bool spans_nodes_ = false;
};

}  // namespace sparccl
