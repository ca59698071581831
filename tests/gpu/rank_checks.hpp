// What each rank does in each check.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "nccl.hpp"

namespace sparccl::test {

struct RankCheck {
  std::string name;
  /// Throws std::exception saying what is wrong. folder: shared by the ranks, for files.
  std::function<void(const World& world, const std::string& folder)> run;
};

[[nodiscard]] const std::vector<RankCheck>& rank_checks();

}  // namespace sparccl::test
