// The two halves of stage_bench. Each prints a table and returns its figures.
#pragma once

#include <stdexcept>

#include <nlohmann/json_fwd.hpp>

#include "settings.hpp"

namespace sparccl::bench {

/// There is no such device here, or it was not built for one: exit code 77.
class NothingToMeasure : public std::runtime_error {
  using std::runtime_error::runtime_error;
};

[[nodiscard]] nlohmann::json measure_host(const Settings& settings);
[[nodiscard]] nlohmann::json measure_cuda(const Settings& settings);

}  // namespace sparccl::bench
