#include "hierarchy.hpp"

#include <algorithm>

#include "plan.hpp"

namespace sparccl {
namespace {

std::vector<int> sizes_of(const std::vector<int>& nodes) {
  std::vector<int> sizes(static_cast<std::size_t>(*std::ranges::max_element(nodes)) + 1, 0);
  for (const int node : nodes) ++sizes[static_cast<std::size_t>(node)];
  return sizes;
}

}  // namespace

std::string why_no_hierarchy(const std::vector<int>& nodes) {
  const std::vector<int> sizes = sizes_of(nodes);
  const bool equal = std::ranges::all_of(sizes, [&](int size) { return size == sizes[0]; });
  if (equal && sizes.size() >= 2 && sizes[0] >= 2) return {};
  std::string found;
  for (std::size_t i = 0; i < std::min<std::size_t>(sizes.size(), 8); ++i) {
    found += (i == 0 ? "" : ", ") + std::to_string(sizes[i]);
  }
  if (sizes.size() > 8) found += ", ...";
  return "expected at least 2 nodes of equally many ranks, 2 or more each, found " +
         std::to_string(sizes.size()) + (sizes.size() == 1 ? " node of " : " nodes of ") + found +
         " ranks: take another path, or say by ranks_per_node which ranks share one";
}

Hierarchy make_hierarchy(Transport& transport, std::string_view tensor) {
  const std::vector<int> nodes = transport.nodes();
  if (const std::string why = why_no_hierarchy(nodes); !why.empty()) {
    throw Error(Result::invalid_argument, about(tensor) + "path hierarchical: " + why);
  }
  const auto rank = static_cast<std::size_t>(transport.rank());
  Hierarchy made;
  made.each = static_cast<int>(std::ranges::count(nodes, nodes[0]));
  made.nodes = transport.size() / made.each;
  made.node = nodes[rank];
  made.place =
      static_cast<int>(std::count(nodes.begin(), nodes.begin() + transport.rank(), made.node));
  made.inside = transport.group(made.node);
  made.across = transport.group(made.place);
  return made;
}

}  // namespace sparccl
