#include "judge.hpp"

#include <algorithm>
#include <cstdio>

namespace sparccl::bench {

void Judge::at_most(const std::string& name, double value, const std::string& unit, double bound) {
  lines_.push_back({name, unit, "<=", value, bound, bound > 0 ? value / bound : 0});
}

void Judge::at_least(const std::string& name, double value, const std::string& unit, double bound) {
  lines_.push_back({name, unit, ">=", value, bound, value > 0 ? bound / value : 0});
}

std::string Judge::Line::verdict() const {
  if (bound == 0) return "no bound is set";
  if (missed_by <= 1) return "met";
  char text[64];
  std::snprintf(text, sizeof text, "missed by %.2f x", missed_by);
  return text;
}

void Judge::print() const {
  for (const Line& line : lines_) {
    std::printf("%-52s %8.3f %-14s", line.name.c_str(), line.value, line.unit.c_str());
    if (line.bound != 0) std::printf(" %s %6.2f", line.sign.c_str(), line.bound);
    std::printf("  %s\n", line.verdict().c_str());
  }
}

bool Judge::all_met() const {
  return std::ranges::all_of(lines_, [](const Line& line) { return line.missed_by <= 1; });
}

nlohmann::json Judge::json() const {
  nlohmann::json all = nlohmann::json::array();
  for (const Line& line : lines_) {
    all.push_back({{"name", line.name},
                   {"value", line.value},
                   {"unit", line.unit},
                   {"bound", line.bound},
                   {"verdict", line.verdict()}});
  }
  return all;
}

}  // namespace sparccl::bench
