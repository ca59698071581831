// Costs as JSON.
#include <cmath>

#include <nlohmann/json.hpp>

#include "calibration.hpp"

namespace sparccl {
namespace {

using Json = nlohmann::ordered_json;

constexpr int file_version = 2;  // 2: entries' costs over the density, those of split
constexpr double most_seconds = 1e6;

Json json_of(const Curve& curve) {
  Json points = Json::array();
  for (const Point& point : curve.points) points.push_back({point.size, point.seconds});
  return points;
}

Json json_of(const Link& link) {
  return {{"latency", link.latency},
          {"seconds_per_byte", link.seconds_per_byte},
          {"copy_seconds_per_byte", link.copy_seconds_per_byte},
          {"seconds_per_message", link.seconds_per_message}};
}

Json json_of(const Machine& machine) {
  return {{"cpu", machine.cpu},
          {"cores", machine.cores},
          {"gpu", machine.gpu},
          {"backend", machine.backend},
          {"transport", machine.transport},
          {"world_size", machine.world_size},
          {"ranks_per_node", machine.ranks_per_node}};
}

/// Of what is wrong in a file: the rest of a sentence.
struct Wrong {
  std::string what;
};

const Json& member(const Json& object, const char* name) {
  if (object.is_object() && object.contains(name)) return object.at(name);
  throw Wrong{std::string("expected \"") + name + "\", found none"};
}

double number(const Json& object, const char* name) {
  const Json& value = member(object, name);
  const double found = value.is_number() ? value.get<double>() : -1;
  if (found >= 0 && std::isfinite(found)) return found;
  throw Wrong{std::string("expected a number of at least 0 as \"") + name + "\", found " +
              value.dump()};
}

int whole(const Json& object, const char* name) {
  const double value = number(object, name);
  if (value <= 1e9 && value == std::floor(value)) return static_cast<int>(value);
  throw Wrong{std::string("expected a whole number as \"") + name + "\", found " +
              std::to_string(value)};
}

std::string words(const Json& object, const char* name) {
  const Json& value = member(object, name);
  if (value.is_string()) return value.get<std::string>();
  throw Wrong{std::string("expected a string as \"") + name + "\", found " + value.dump()};
}

Curve curve_of(const Json& object, const char* name) {
  const Json& points = member(object, name);
  const Wrong wrong{std::string("expected points [size, seconds], of ascending size, as \"") +
                    name + "\", found " + points.dump()};
  if (!points.is_array()) throw wrong;
  Curve curve;
  double before = 0;
  for (const Json& point : points) {
    if (!point.is_array() || point.size() != 2 || !point[0].is_number() || !point[1].is_number()) {
      throw wrong;
    }
    curve.points.push_back({point[0].get<double>(), point[1].get<double>()});
    if (!(curve.points.back().size > before) || !(curve.points.back().seconds >= 0) ||
        !(curve.points.back().seconds < most_seconds)) {
      throw wrong;
    }
    before = curve.points.back().size;
  }
  return curve;
}

Link link_of(const Json& all, const char* name) {
  const Json& link = member(all, name);
  return {number(link, "latency"), number(link, "seconds_per_byte"),
          number(link, "copy_seconds_per_byte"), number(link, "seconds_per_message")};
}

Machine machine_in(const Json& all) {
  const Json& machine = member(all, "machine");
  return {words(machine, "cpu"),           whole(machine, "cores"),
          words(machine, "gpu"),           words(machine, "backend"),
          words(machine, "transport"),     whole(machine, "world_size"),
          whole(machine, "ranks_per_node")};
}

Costs costs_in(const Json& all) {
  if (whole(all, "sparccl_calibration") != file_version) {
    throw Wrong{"expected version " + std::to_string(file_version) + ", found " +
                all.at("sparccl_calibration").dump()};
  }
  Costs costs;
  costs.machine = machine_in(all);
  const Json& stages = member(all, "stages");
  costs.stages = {curve_of(stages, "pass"),     curve_of(stages, "result"),
                  curve_of(stages, "selected"), curve_of(stages, "merged"),
                  number(stages, "split"),      number(stages, "reduction")};
  if (costs.stages.pass.points.empty() || costs.stages.result.points.empty()) {
    throw Wrong{"expected at least one point of \"pass\" and \"result\", found none"};
  }
  costs.network = link_of(all, "network");
  costs.shared = link_of(all, "shared");
  costs.node = link_of(all, "node");
  const Json& dense = member(all, "dense");
  costs.dense = {curve_of(dense, "curve"), whole(dense, "ranks"), number(dense, "seconds_per_byte"),
                 costs.network.latency};
  return costs;
}

}  // namespace

std::string text_of(const Costs& costs) {
  const Json all = {{"sparccl_calibration", file_version},
                    {"machine", json_of(costs.machine)},
                    {"stages",
                     {{"pass", json_of(costs.stages.pass)},
                      {"result", json_of(costs.stages.result)},
                      {"selected", json_of(costs.stages.selected)},
                      {"merged", json_of(costs.stages.merged)},
                      {"split", costs.stages.split},
                      {"reduction", costs.stages.reduction}}},
                    {"network", json_of(costs.network)},
                    {"shared", json_of(costs.shared)},
                    {"node", json_of(costs.node)},
                    {"dense",
                     {{"curve", json_of(costs.dense.curve)},
                      {"ranks", costs.dense.ranks},
                      {"seconds_per_byte", costs.dense.seconds_per_byte}}}};
  return all.dump(2) + "\n";
}

Costs parse_costs(const std::string& text, const std::filesystem::path& path) {
  const std::string file = "calibration file " + path.string() + ": ";
  const Json all = Json::parse(text, nullptr, false);
  if (all.is_discarded()) {
    throw Error(Result::bad_state, file +
                                       "expected JSON, found something else; make one with "
                                       "sparccl_plan --probe --save");
  }
  try {
    return costs_in(all);
  } catch (const Wrong& wrong) {
    throw Error(Result::bad_state,
                file + wrong.what + "; make one with sparccl_plan --probe --save");
  }
}

}  // namespace sparccl
