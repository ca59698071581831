// Bounds and what was found, line by line.
#pragma once

#include <string>
#include <vector>

#include <nlohmann/json.hpp>

namespace sparccl::bench {

class Judge {
 public:
  /// value: in `unit`, at most `bound`. 0 as a bound: none is set.
  void at_most(const std::string& name, double value, const std::string& unit, double bound);
  void at_least(const std::string& name, double value, const std::string& unit, double bound);

  /// All lines so far: value, bound, "met" or "missed by 1.13 x".
  void print() const;
  [[nodiscard]] bool all_met() const;
  [[nodiscard]] nlohmann::json json() const;

 private:
  struct Line {
    std::string name, unit, sign;
    double value = 0, bound = 0, missed_by = 0;
    [[nodiscard]] std::string verdict() const;
  };
  std::vector<Line> lines_;
};

}  // namespace sparccl::bench
