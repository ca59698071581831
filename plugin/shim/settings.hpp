// What the environment asks for: the variables SPARCCL_*.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <sparccl/sparccl.hpp>

#include "shim/match.hpp"

namespace sparccl::shim {

enum class LogLevel : std::uint8_t { warn, info, trace };

/// docs/drop-in.md says what each means. Defaults are what holds where a variable is not set.
struct Settings {
  double density = 0.001;
  double mu = 2.0;
  std::optional<DataType> wire;
  Path path = Path::allgather;
  int ranks_per_node = 0;
  std::uint64_t min_count = 1024;
  std::uint64_t warmup_steps = 0;
  std::uint64_t steps_per_stage = 0;  // of SPARCCL_SCHEDULE=dgc:N; 0: constant
  Match match;
  bool disable = false;
  LogLevel debug = LogLevel::warn;
  std::string debug_file;
  std::filesystem::path state_dir;
  std::uint64_t timeout_ms = 600'000;
  std::string timeline;

  [[nodiscard]] CommunicatorOptions communicator() const {
    return {.timeout_ms = timeout_ms, .ranks_per_node = ranks_per_node};
  }

  /// The density of a tensor's step, from 0.
  [[nodiscard]] double density_of(std::uint64_t step) const noexcept;
};

/// The value of a variable, or null.
using Environment = std::function<const char*(const char* name)>;

/// Throws Error(invalid_argument): "SPARCCL_MU: expected ..., found ...".
[[nodiscard]] Settings read_settings(const Environment& environment);

/// Variable and value as they hold, of those that must be equal on every rank. Where only being set
/// matters the value is "set" or "".
[[nodiscard]] std::vector<std::pair<std::string, std::string>> shared_settings(
    const Environment& environment);

/// Whether this library, in any of its parts, reads the variable.
[[nodiscard]] bool is_known_variable(std::string_view name) noexcept;

}  // namespace sparccl::shim
