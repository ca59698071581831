// Bandwidths, times and counts as people write them.
#pragma once

#include <optional>
#include <string>

namespace sparccl::bench {

/// Bytes per second: "1gbit", "100mbit", "400Gbit/s", "12GB/s", or a number of bits per second.
[[nodiscard]] std::optional<double> parse_bandwidth(const std::string& text);

/// Seconds: "50us", "1.5ms", "2s", "800ns", or a number of seconds.
[[nodiscard]] std::optional<double> parse_seconds(const std::string& text);

/// "25e6", "25M", "70G", "1000".
[[nodiscard]] std::optional<double> parse_count(const std::string& text);

/// "12.5 Gbit/s".
[[nodiscard]] std::string show_bandwidth(double bytes_per_second);
/// "25.1 MB".
[[nodiscard]] std::string show_bytes(double bytes);

}  // namespace sparccl::bench
