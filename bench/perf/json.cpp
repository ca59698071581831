#include <cstdio>
#include <filesystem>
#include <fstream>
#include <stdexcept>

#include <nlohmann/json.hpp>

#include "build.hpp"
#include "machine.hpp"
#include "report.hpp"

namespace sparccl::perf {
namespace {

using nlohmann::ordered_json;

ordered_json us(const Spread& spread) {
  return {{"median", 1e6 * spread.median},
          {"min", 1e6 * spread.min},
          {"max", 1e6 * spread.max},
          {"p25", 1e6 * spread.p25},
          {"p75", 1e6 * spread.p75}};
}

ordered_json us(const StageSeconds& s) {
  return {{"wait", 1e6 * s.wait}, {"accumulate", 1e6 * s.accumulate}, {"select", 1e6 * s.select},
          {"pack", 1e6 * s.pack}, {"exchange", 1e6 * s.exchange},     {"merge", 1e6 * s.merge}};
}

template <class T>
ordered_json or_null(const std::optional<T>& value) {
  return value ? ordered_json(*value) : ordered_json(nullptr);
}

ordered_json of(const Case& what) {
  return {{"bytes", what.bytes},          {"count", what.count},
          {"type", type_name(what.type)}, {"redop", name_of(what.reduction)},
          {"density", what.density},      {"mu", what.mu},
          {"wire", type_name(what.wire)}, {"path_asked", name_of(what.asked)},
          {"in_place", what.in_place}};
}

ordered_json of(const Settings& s, const Row& row) {
  ordered_json json = of(row.what);
  json["path"] = name_of(row.path);
  json["path_reason"] = row.path_reason;
  json["time_us"] = us(row.time);
  json["algbw_GBps"] = row.algbw();
  json["busbw_GBps"] = row.busbw();
  json["wrong"] = or_null(row.wrong);
  json["wire_bytes"] = row.wire_bytes;
  json["effective_GBps"] = row.effective();
  json["stages_us"] = row.stages ? us(*row.stages) : ordered_json(nullptr);
  json["dense_time_us"] = us(row.dense_time);
  json["speedup"] = row.speedup;
  json["break_even_Gbps"] = or_null(row.break_even());
  json["iterations"] = s.iterations;
  json["repeats"] = s.repeats;
  return json;
}

ordered_json of(const Settings& s, const BaselineRow& row) {
  ordered_json json = of(row.what);
  json["name"] = row.name;
  json["path"] = name_of(row.path);
  json["time_us"] = us(row.time);
  json["algbw_GBps"] = row.algbw();
  json["busbw_GBps"] = row.busbw();
  json["wrong"] = or_null(row.wrong);
  json["wire_bytes"] = row.wire_bytes;
  json["sparse_speedup"] = row.sparse_speedup;
  json["iterations"] = s.iterations;
  json["repeats"] = s.repeats;
  return json;
}

/// Beside the file until it is whole: a run that fails leaves none. A link, a pipe or a
/// device is written to itself: another file would take its place.
std::string written_first(const std::string& name) {
  std::error_code error;
  const std::filesystem::file_status status = std::filesystem::status(name, error);
  const bool special =
      std::filesystem::is_symlink(name, error) ||  // such as /dev/fd/1, even where it is a file
      (std::filesystem::exists(status) && !std::filesystem::is_regular_file(status));
  return special ? name : name + ".part";
}

std::string cannot_write(const std::string& name) {
  return "--json: cannot write " + name +
         "; name a file in a folder that is there and may be written to";
}

void write_text(const std::string& name, const std::string& text) {
  if (name == "-") {
    const bool written = std::fputs(text.c_str(), stdout) >= 0;
    if (written && std::fflush(stdout) == 0) return;
    throw std::runtime_error("--json -: cannot write to stdout; name a file");
  }
  const std::string first = written_first(name);
  std::ofstream file(first);
  file << text;
  file.close();
  std::error_code error;
  if (file && first != name) std::filesystem::rename(first, name, error);
  if (file && !error) return;
  if (first != name) std::filesystem::remove(first, error);
  throw std::runtime_error(cannot_write(name));
}

}  // namespace

std::string unwritable(const Settings& s) {
  if (s.json.empty() || s.json == "-") return {};
  std::error_code error;
  if (std::filesystem::is_directory(s.json, error)) {
    return "--json: " + s.json + " is a folder; name a file in it";
  }
  const std::filesystem::path folder = std::filesystem::path(s.json).parent_path();
  if (!folder.empty() && !std::filesystem::is_directory(folder, error)) {
    return "--json: there is no folder " + folder.string() + "; make it, or name a file elsewhere";
  }
  const std::filesystem::file_status status = std::filesystem::status(s.json, error);
  if (std::filesystem::exists(status) && !std::filesystem::is_regular_file(status)) {
    return {};  // opening a pipe waits for its reader
  }
  const std::string first = written_first(s.json);
  const bool existed = std::filesystem::exists(first, error);
  if (!std::ofstream(first, std::ios::app).is_open()) return cannot_write(s.json);
  if (first != s.json && !existed) std::filesystem::remove(first, error);
  return {};
}

void write_json(const Settings& s, const Setting& setting, const Figures& figures) {
  ordered_json json;
  json["command"] = s.command;
  json["version"] = version_text();
  json["commit"] = build::commit != nullptr ? ordered_json(build::commit) : ordered_json(nullptr);
  json["host"] = {{"cpu", cpu_model()},
                  {"cores", cores()},
                  {"ranks_here", setting.ranks_here},
                  {"device", setting.device}};
  json["transport"] = s.transport;
  json["backend"] = s.backend;
  json["ranks"] = setting.ranks;
  json["nodes"] = setting.nodes;
  json["average"] = static_cast<int>(s.average);
  json["rows"] = ordered_json::array();
  for (const Row& row : figures.rows) json["rows"].push_back(of(s, row));
  json["baselines"] = ordered_json::array();
  for (const BaselineRow& row : figures.baselines) json["baselines"].push_back(of(s, row));
  json["not_measured"] = figures.not_measured;

  write_text(s.json, json.dump(2) + '\n');
}

}  // namespace sparccl::perf
