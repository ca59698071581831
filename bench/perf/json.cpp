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

}  // namespace

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

  const std::string part = s.json + ".part";
  std::ofstream file(part);
  file << json.dump(2) << '\n';
  file.close();
  std::error_code error;
  if (file) std::filesystem::rename(part, s.json, error);
  if (file && !error) return;
  std::filesystem::remove(part, error);
  throw std::runtime_error("--json: cannot write " + s.json +
                           "; name a file in a folder that is "
                           "there and may be written to");
}

}  // namespace sparccl::perf
