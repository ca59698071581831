// What sparccl_plan is asked.
#pragma once

#include <cstddef>
#include <optional>
#include <stdexcept>
#include <string>

#include <sparccl/types.hpp>

namespace sparccl::bench {

/// Exit code 2, with a sentence that says what to do instead.
class UsageError : public std::runtime_error {
  using std::runtime_error::runtime_error;
};

struct PlanSettings {
  std::size_t count = 0;  // 0: nothing is to be predicted, only to be measured
  double density = 0.001;
  int ranks = 0;                    // 0: as many as measured
  std::optional<double> bandwidth;  // bytes per second
  std::optional<double> latency;    // seconds
  int ranks_per_node = 1;
  std::optional<double> node_bandwidth;
  std::optional<double> node_latency;
  DataType type = DataType::float32;
  DataType wire = DataType::float32;
  std::string backend;      // empty: that of the file
  std::string calibration;  // file
  bool probe = false;
  std::string transport;  // of the probe: local or mpi
  int threads = 0;
  std::string save;
  bool json = false;
};

/// Nothing where help was asked for and printed. Throws UsageError.
[[nodiscard]] std::optional<PlanSettings> parse_plan(int argc, char** argv);

}  // namespace sparccl::bench
