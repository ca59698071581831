// Which ranks share a node, and transports among them and across nodes.
#pragma once

#include <memory>
#include <string_view>
#include <vector>

#include "transport/transport.hpp"

namespace sparccl {

/// Nodes of equally many ranks. Each rank has a place on its node, by rank.
struct Hierarchy {
  int nodes = 1;                      // at least 2
  int each = 1;                       // ranks of a node, at least 2
  int node = 0;                       // of this rank
  int place = 0;                      // of this rank on it: its rank in `inside`
  std::unique_ptr<Transport> inside;  // the ranks of this node
  std::unique_ptr<Transport> across;  // the ranks of this place on every node, in order of nodes
};

/// What stands against it, "" if nothing: "expected ..., found ...". nodes: Transport::nodes().
[[nodiscard]] std::string why_no_hierarchy(const std::vector<int>& nodes);

/// Collective. Throws Error(invalid_argument) that says what was found.
[[nodiscard]] Hierarchy make_hierarchy(Transport& transport, std::string_view tensor);

}  // namespace sparccl
