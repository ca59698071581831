// What ranks tell each other before their first call: settings that must be equal, and what is
// wrong on one of them.
#pragma once

#include <cstddef>
#include <span>
#include <string>
#include <utility>
#include <vector>

namespace sparccl::shim {

struct Greeting {
  static constexpr std::size_t bytes = 2048;  // of one on the wire

  std::vector<std::pair<std::string, std::string>> settings;  // shared_settings()
  std::string problem;  // why this rank cannot take part; empty: none

  /// Cut to fit.
  [[nodiscard]] std::vector<std::byte> packed() const;
  /// Trusts nothing: what is no greeting has no settings.
  [[nodiscard]] static Greeting unpacked(std::span<const std::byte> bytes);
};

/// packed: [ranks][Greeting::bytes]. Throws Error(invalid_usage) naming the first rank with a
/// problem, else Error(mismatch) naming the variable, rank 0's value and the first other rank's.
void require_agreement(std::span<const std::byte> packed);

}  // namespace sparccl::shim
