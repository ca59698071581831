// Bandwidths, times and counts as people write them.
#pragma once

#include <optional>
#include <string>

namespace sparccl::bench {

// A number without a unit is refused: nobody means seconds by a latency of 50.

inline constexpr const char* bandwidth_units =
    "bit, kbit, Mbit, Gbit, Tbit, kbps, Mbps, Gbps; or of bytes B/s, kB/s, MB/s, GB/s, TB/s";
inline constexpr const char* time_units = "ns, us, ms, s";

/// Bytes per second: "1gbit", "100mbit", "400Gbit/s", "12GB/s".
[[nodiscard]] std::optional<double> parse_bandwidth(const std::string& text);

/// Seconds: "50us", "1.5ms", "2s", "800ns"; and "0", which is the same in all of them.
[[nodiscard]] std::optional<double> parse_seconds(const std::string& text);

/// "25e6", "25M", "70G", "1000".
[[nodiscard]] std::optional<double> parse_count(const std::string& text);

/// A share of the entries: "0.001" or "0.1%".
[[nodiscard]] std::optional<double> parse_density(const std::string& text);

/// "12.5 Gbit/s".
[[nodiscard]] std::string show_bandwidth(double bytes_per_second);
/// "25.1 MB".
[[nodiscard]] std::string show_bytes(double bytes);

}  // namespace sparccl::bench
