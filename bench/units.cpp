#include "units.hpp"

#include <cctype>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <initializer_list>
#include <utility>

namespace sparccl::bench {
namespace {

using Units = std::initializer_list<std::pair<const char*, double>>;

/// A positive number, and one of the units after it in lower case.
std::optional<double> parse(const std::string& text, const Units& units) {
  char* end = nullptr;
  const double number = std::strtod(text.c_str(), &end);
  if (end == text.c_str() || !std::isfinite(number) || !(number >= 0)) return std::nullopt;
  std::string unit;
  for (; *end != '\0'; ++end) {
    if (*end != ' ') unit += static_cast<char>(std::tolower(static_cast<unsigned char>(*end)));
  }
  for (const auto& [name, factor] : units) {
    if (unit == name) return number * factor;
  }
  return std::nullopt;
}

std::optional<double> above_zero(std::optional<double> number) {
  return number && *number > 0 ? number : std::nullopt;
}

std::string show(double value, std::initializer_list<std::pair<const char*, double>> units) {
  for (const auto& [name, factor] : units) {
    // 1 Gbit/s may be the last bit less after a division: not to be shown as 1000 Mbit/s.
    if (value < factor * (1 - 1e-9) && factor != 1) continue;
    char text[64];
    const double scaled = value / factor;
    const int digits = scaled < 10 ? 2 : scaled < 100 ? 1 : 0;
    static_cast<void>(std::snprintf(text, sizeof(text), "%.*f %s", digits, scaled, name));
    return text;
  }
  return {};
}

}  // namespace

std::optional<double> parse_bandwidth(const std::string& text) {
  std::string rate = text;  // "/s" says nothing that "per second" does not
  if (rate.size() > 2 && rate.substr(rate.size() - 2) == "/s") rate.resize(rate.size() - 2);
  const bool bytes = !rate.empty() && rate.back() == 'B';
  if (bytes) {
    return above_zero(parse(rate, {{"b", 1}, {"kb", 1e3}, {"mb", 1e6}, {"gb", 1e9}, {"tb", 1e12}}));
  }
  return above_zero(parse(rate, {{"bit", 1 / 8.0},
                                 {"kbit", 1e3 / 8},
                                 {"mbit", 1e6 / 8},
                                 {"gbit", 1e9 / 8},
                                 {"tbit", 1e12 / 8},
                                 {"kbps", 1e3 / 8},
                                 {"mbps", 1e6 / 8},
                                 {"gbps", 1e9 / 8}}));
}

std::optional<double> parse_seconds(const std::string& text) {
  if (text == "0") return 0;  // in any unit
  return parse(text, {{"s", 1}, {"ms", 1e-3}, {"us", 1e-6}, {"ns", 1e-9}});
}

std::optional<double> parse_count(const std::string& text) {
  return above_zero(parse(text, {{"", 1}, {"k", 1e3}, {"m", 1e6}, {"g", 1e9}, {"b", 1e9}}));
}

std::optional<double> parse_density(const std::string& text) {
  const std::optional<double> share = parse(text, {{"", 1}, {"%", 0.01}});
  if (!share || *share < 1e-12 || *share > 1) return std::nullopt;
  return share;
}

std::string show_bandwidth(double bytes_per_second) {
  return show(8 * bytes_per_second,
              {{"Tbit/s", 1e12}, {"Gbit/s", 1e9}, {"Mbit/s", 1e6}, {"kbit/s", 1e3}, {"bit/s", 1}});
}

std::string show_bytes(double bytes) {
  return show(bytes, {{"TB", 1e12}, {"GB", 1e9}, {"MB", 1e6}, {"kB", 1e3}, {"B", 1}});
}

}  // namespace sparccl::bench
