#include "shim/settings.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <cstring>
#include <limits>
#include <stdexcept>

#include <sparccl/schedule.hpp>

namespace sparccl::shim {
namespace {

/// Thrown where a text is not of the variable's form.
struct BadForm {};

template <class Number>
Number number(std::string_view text) {
  Number value{};
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size()) throw BadForm();
  return value;
}

double between(std::string_view text, double above, double most) {
  const auto value = number<double>(text);
  if (!(value > above && value <= most)) throw BadForm();
  return value;
}

bool flag(std::string_view text) {
  if (text != "0" && text != "1") throw BadForm();
  return text == "1";
}

LogLevel level(std::string_view text) {
  if (text == "WARN") return LogLevel::warn;
  if (text == "INFO") return LogLevel::info;
  if (text == "TRACE") return LogLevel::trace;
  throw BadForm();
}

std::optional<DataType> wire(std::string_view text) {
  if (text == "auto") return std::nullopt;
  for (const DataType type : {DataType::float16, DataType::bfloat16, DataType::float32}) {
    if (text == name_of(type)) return type;
  }
  throw BadForm();
}

std::uint64_t schedule(std::string_view text) {
  if (text == "constant") return 0;
  if (!text.starts_with("dgc:")) throw BadForm();
  const auto steps = number<std::uint64_t>(text.substr(4));
  if (steps == 0) throw BadForm();
  return steps;
}

Path path(std::string_view text) {
  for (const Path each :
       {Path::automatic, Path::dense, Path::allgather, Path::split, Path::hierarchical}) {
    if (text == name_of(each)) return each;
  }
  throw BadForm();
}

int whole(std::string_view text) {
  const auto value = number<std::uint64_t>(text);
  if (value > std::numeric_limits<int>::max()) throw BadForm();
  return static_cast<int>(value);
}

Match match(std::string_view text) {
  // Longer ones do not fit into what ranks tell each other.
  if (text.size() > 512) throw BadForm();
  try {
    return parse_match(text);
  } catch (const std::invalid_argument&) {
    throw BadForm();
  }
}

/// The ranks compare its value, whether it is set, or nothing.
enum class Shared : std::uint8_t { value, presence, no };

struct Variable {
  const char* name;
  const char* otherwise;  // the default, in the variable's own form
  const char* form;
  Shared shared;
  void (*read)(Settings&, std::string_view);
};

constexpr std::uint64_t longest_timeout_ms = 1'000'000'000'000;  // 31 years: no clock overflows
constexpr double any = std::numeric_limits<double>::max();

constexpr std::array variables{
    Variable{"SPARCCL_DENSITY", "0.001", "a number in (0, 1]", Shared::value,
             [](Settings& s, std::string_view t) { s.density = between(t, 0.0, 1.0); }},
    Variable{"SPARCCL_MU", "2", "a number >= 0", Shared::value,
             [](Settings& s, std::string_view t) { s.mu = between(t, -0x1p-1074, any); }},
    Variable{"SPARCCL_WIRE", "auto", "auto, float16, bfloat16 or float32", Shared::value,
             [](Settings& s, std::string_view t) { s.wire = wire(t); }},
    Variable{"SPARCCL_PATH", "allgather", "auto, dense, allgather, split or hierarchical",
             Shared::value, [](Settings& s, std::string_view t) { s.path = path(t); }},
    Variable{"SPARCCL_RANKS_PER_NODE", "0", "a whole number", Shared::value,
             [](Settings& s, std::string_view t) { s.ranks_per_node = whole(t); }},
    Variable{"SPARCCL_MIN_COUNT", "1024", "a whole number", Shared::value,
             [](Settings& s, std::string_view t) { s.min_count = number<std::uint64_t>(t); }},
    Variable{"SPARCCL_WARMUP_STEPS", "0", "a whole number", Shared::value,
             [](Settings& s, std::string_view t) { s.warmup_steps = number<std::uint64_t>(t); }},
    Variable{"SPARCCL_SCHEDULE", "constant", "constant, or dgc:STEPS_PER_STAGE", Shared::value,
             [](Settings& s, std::string_view t) { s.steps_per_stage = schedule(t); }},
    Variable{"SPARCCL_MATCH", "auto", Match::form, Shared::value,
             [](Settings& s, std::string_view t) { s.match = match(t); }},
    Variable{"SPARCCL_DISABLE", "0", "0 or 1", Shared::value,
             [](Settings& s, std::string_view t) { s.disable = flag(t); }},
    Variable{"SPARCCL_DEBUG", "WARN", "WARN, INFO or TRACE", Shared::no,
             [](Settings& s, std::string_view t) { s.debug = level(t); }},
    Variable{"SPARCCL_DEBUG_FILE", "", "a file's name", Shared::no,
             [](Settings& s, std::string_view t) { s.debug_file = t; }},
    Variable{"SPARCCL_STATE_DIR", "", "a directory's name", Shared::presence,
             [](Settings& s, std::string_view t) { s.state_dir = t; }},
    Variable{"SPARCCL_TIMEOUT_MS", "600000", "a whole number of milliseconds, 0: for ever",
             Shared::no,
             [](Settings& s, std::string_view t) {
               s.timeout_ms = std::min(number<std::uint64_t>(t), longest_timeout_ms);
             }},
    Variable{"SPARCCL_TIMELINE", "", "a file's name", Shared::no,
             [](Settings& s, std::string_view t) { s.timeline = t; }},
};

/// Read by other parts of this library, by its tests and by its benchmarks.
constexpr std::array others{"SPARCCL_CALIBRATION", "SPARCCL_SIMD", "SPARCCL_NCCL_LIBRARY",
                            "SPARCCL_LIBRARY", "SPARCCL_SIMT_SEED"};

/// An empty value counts as none, as in NCCL.
const char* value_of(const Environment& environment, const Variable& variable) {
  const char* const value = environment(variable.name);
  return value == nullptr || *value == '\0' ? variable.otherwise : value;
}

}  // namespace

double Settings::density_of(std::uint64_t step) const noexcept {
  return steps_per_stage == 0 ? density : DgcWarmup(density, steps_per_stage)(step);
}

Settings read_settings(const Environment& environment) {
  Settings settings;
  for (const Variable& variable : variables) {
    const char* const text = value_of(environment, variable);
    try {
      variable.read(settings, text);
    } catch (const BadForm&) {
      throw Error(Result::invalid_argument, std::string(variable.name) + ": expected " +
                                                variable.form + ", found \"" + text + "\"");
    }
  }
  return settings;
}

std::vector<std::pair<std::string, std::string>> shared_settings(const Environment& environment) {
  std::vector<std::pair<std::string, std::string>> settings;
  for (const Variable& variable : variables) {
    const std::string value = value_of(environment, variable);
    if (variable.shared == Shared::value) settings.emplace_back(variable.name, value);
    if (variable.shared == Shared::presence) {
      settings.emplace_back(variable.name, value.empty() ? "" : "set");
    }
  }
  return settings;
}

bool is_known_variable(std::string_view name) noexcept {
  return std::ranges::any_of(variables, [&](const Variable& v) { return name == v.name; }) ||
         std::ranges::any_of(others, [&](const char* other) { return name == other; });
}

}  // namespace sparccl::shim
