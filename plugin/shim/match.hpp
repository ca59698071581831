// SPARCCL_MATCH: which calls may be sparsified.
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

namespace sparccl::shim {

/// Both ends belong to it.
struct Range {
  std::uint64_t first = 0;
  std::uint64_t last = UINT64_MAX;

  [[nodiscard]] bool contains(std::uint64_t number) const noexcept {
    return first <= number && number <= last;
  }
};

struct Match {
  static constexpr std::uint64_t most_calls_per_step = 1'000'000;
  std::vector<Range> counts;         ///< of entries; empty: all
  std::vector<Range> calls;          ///< numbers of calls on their communicator; empty: all
  std::uint64_t calls_per_step = 0;  ///< not 0: `calls` count within a step of that many

  [[nodiscard]] bool admits_count(std::uint64_t count) const noexcept;
  [[nodiscard]] bool admits_call(std::uint64_t number) const noexcept;

  static constexpr const char* form =
      "auto, or a list, separated by commas, of count:N, count:FIRST-LAST, calls:FIRST-LAST and "
      "calls:FIRST-LAST/CALLS_PER_STEP (the end of a range may be left out)";
};

/// Throws std::invalid_argument with no particular sentence: Match::form is what it should have
/// been.
[[nodiscard]] Match parse_match(std::string_view text);

}  // namespace sparccl::shim
