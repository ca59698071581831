#include "shim/match.hpp"

#include <algorithm>
#include <charconv>
#include <stdexcept>

namespace sparccl::shim {
namespace {

[[noreturn]] void refuse() { throw std::invalid_argument("SPARCCL_MATCH"); }

std::uint64_t number(std::string_view text) {
  std::uint64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size()) refuse();
  return value;
}

/// "N", "FIRST-LAST" or "FIRST-"
Range range(std::string_view text) {
  const std::size_t dash = text.find('-');
  Range found;
  found.first = number(text.substr(0, dash));
  if (dash == std::string_view::npos) {
    found.last = found.first;
  } else if (dash + 1 < text.size()) {
    found.last = number(text.substr(dash + 1));
  }
  if (found.last < found.first) refuse();
  return found;
}

bool admits(const std::vector<Range>& ranges, std::uint64_t number) noexcept {
  return ranges.empty() ||
         std::ranges::any_of(ranges, [&](const Range& range) { return range.contains(number); });
}

void add_calls(Match& match, std::string_view text) {
  const std::size_t slash = text.find('/');
  std::uint64_t per_step = 0;
  if (slash != std::string_view::npos) {
    per_step = number(text.substr(slash + 1));
    if (per_step == 0 || per_step > Match::most_calls_per_step) refuse();
  }
  if (!match.calls.empty() && match.calls_per_step != per_step) refuse();
  match.calls_per_step = per_step;
  Range calls = range(text.substr(0, slash));
  if (per_step != 0 && calls.last == UINT64_MAX) calls.last = per_step - 1;
  if (per_step != 0 && calls.last >= per_step) refuse();
  match.calls.push_back(calls);
}

}  // namespace

bool Match::admits_count(std::uint64_t count) const noexcept { return admits(counts, count); }

bool Match::admits_call(std::uint64_t number) const noexcept {
  return admits(calls, calls_per_step == 0 ? number : number % calls_per_step);
}

Match parse_match(std::string_view text) {
  Match match;
  if (text == "auto") return match;
  while (true) {
    const std::size_t comma = text.find(',');
    const std::string_view item = text.substr(0, comma);
    if (item.starts_with("count:")) {
      match.counts.push_back(range(item.substr(6)));
    } else if (item.starts_with("calls:")) {
      add_calls(match, item.substr(6));
    } else {
      refuse();
    }
    if (comma == std::string_view::npos) return match;
    text.remove_prefix(comma + 1);
  }
}

}  // namespace sparccl::shim
