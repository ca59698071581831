// Who is on which node, and who is in which group: what all transports say of it alike.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include <sparccl/sparccl.hpp>

namespace sparccl {

/// Throws Error(invalid_argument) unless ranks_per_node is 0 or more. Returns it.
inline int checked_ranks_per_node(const CommunicatorOptions& options) {
  if (options.ranks_per_node >= 0) return options.ranks_per_node;
  throw Error(Result::invalid_argument, "ranks_per_node: expected 0 or more, found " +
                                            std::to_string(options.ranks_per_node) +
                                            "; 0 leaves it to the transport to find the nodes");
}

/// keys: of each rank, equal on ranks of one node. Returns the nodes' numbers, from 0 in the order
/// of their lowest ranks.
inline std::vector<int> numbered_nodes(const std::vector<std::uint64_t>& keys) {
  std::vector<std::uint64_t> known;
  std::vector<int> nodes;
  for (const std::uint64_t key : keys) {
    const auto found = std::find(known.begin(), known.end(), key);
    nodes.push_back(static_cast<int>(found - known.begin()));
    if (found == known.end()) known.push_back(key);
  }
  return nodes;
}

/// The same where ranks_per_node says it, or all ranks are on one (0). ranks: their numbers in the
/// whole communicator.
inline std::vector<int> numbered_nodes(const std::vector<int>& ranks, int ranks_per_node) {
  std::vector<std::uint64_t> keys;
  for (const int rank : ranks) {
    keys.push_back(ranks_per_node == 0 ? 0 : static_cast<std::uint64_t>(rank / ranks_per_node));
  }
  return numbered_nodes(keys);
}

/// colors: of each rank. Returns the ranks of the same color as `rank`, ascending. Throws
/// Error(invalid_argument), on all ranks alike, where a color is negative or groups differ in size.
inline std::vector<int> members_of(const std::vector<int>& colors, int rank) {
  const auto size_of_color = [&](int color) {
    return std::count(colors.begin(), colors.end(), color);
  };
  std::vector<int> members;
  for (std::size_t other = 0; other < colors.size(); ++other) {
    const int color = colors[other];
    const std::string whose =
        "group: rank " + std::to_string(other) + " passed color " + std::to_string(color) + ": ";
    if (color < 0) {
      throw Error(Result::invalid_argument, whose + "expected 0 or more");
    }
    if (size_of_color(color) != size_of_color(colors[0])) {
      throw Error(Result::invalid_argument, whose + "expected groups of one size, " +
                                                std::to_string(size_of_color(colors[0])) +
                                                " as that of rank 0, found " +
                                                std::to_string(size_of_color(color)) + " ranks");
    }
    if (color == colors[static_cast<std::size_t>(rank)]) members.push_back(static_cast<int>(other));
  }
  return members;
}

}  // namespace sparccl
