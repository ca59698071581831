#include "report.hpp"

#include <sparccl/sparccl.hpp>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdio>
#include <nlohmann/json.hpp>
#include <optional>
#include <utility>

namespace mnist {
namespace {

using Json = nlohmann::ordered_json;

template <class... Values>
std::string format(const char* pattern, Values... values) {
  std::array<char, 256> text{};
  std::snprintf(text.data(), text.size(), pattern, values...);
  return text.data();
}

/// 1234567 as "1,234,567".
std::string grouped(double number) {
  std::string text = format("%.0f", number);
  for (std::size_t i = text.size(); i > 3; i -= 3) text.insert(i - 3, 1, ',');
  return text;
}

/// One rank alone sends nothing, and then there is nothing to compare.
std::optional<double> compression(const MethodResult& result) {
  if (result.wire_bytes_per_step == 0) return std::nullopt;
  return result.dense_bytes_per_step / result.wire_bytes_per_step;
}

std::string version() {
  const int number = sparccl::version();
  return format("%d.%d.%d", number / 10000, number / 100 % 100, number % 100);
}

Json seconds_of(const sparccl::StageSeconds& seconds) {
  if (seconds.total() == 0) return {};  // calls that return before the work is done cannot tell
  return {{"wait", seconds.wait}, {"accumulate", seconds.accumulate}, {"select", seconds.select},
          {"pack", seconds.pack}, {"exchange", seconds.exchange},     {"merge", seconds.merge}};
}

Json stats_of(const sparccl::Stats& stats) {
  return {{"steps", stats.steps},
          {"non_finite_steps", stats.non_finite_steps},
          {"entries", stats.entries},
          {"candidates", stats.candidates},
          {"fallbacks", stats.fallbacks},
          {"packet_bytes", stats.packet_bytes},
          {"residual_bytes", stats.residual_bytes},
          {"workspace_bytes", stats.workspace_bytes},
          {"seconds", seconds_of(stats.seconds)}};
}

Json curve_of(const std::vector<CurvePoint>& curve) {
  Json json = {{"step", Json::array()},
               {"bytes", Json::array()},
               {"training_loss", Json::array()},
               {"test_accuracy", Json::array()}};
  for (const CurvePoint& point : curve) {
    json["step"].push_back(point.step);
    json["bytes"].push_back(point.bytes);
    json["training_loss"].push_back(point.training_loss);  // NaN becomes null
    json["test_accuracy"].push_back(point.test_accuracy);
  }
  return json;
}

Json json_of(const std::optional<double>& value) { return value ? Json(*value) : Json(); }

/// A line of what is not as it usually is; empty where all is.
std::string particulars(const Config& config) {
  std::string text;
  const auto add = [&](const std::string& words) { text += (text.empty() ? "" : ", ") + words; };
  if (config.shards != Shards::none) add(std::string(name_of(config.shards)) + " shards");
  if (config.local_steps > 1) add(std::to_string(config.local_steps) + " local steps");
  if (config.warmup > 0) add("warm-up of " + std::to_string(config.warmup) + " steps a stage");
  if (config.accordion > 0) {
    add(format("accordion up to %g every %zu steps", config.accordion, config.interval));
  }
  if (!text.empty()) text += "\n";
  return text;
}

const char* const explanation_of_hosts =
    "\nBytes are those that each rank sends in a ring. Time per step = computing + waiting for "
    "the\n"
    "slowest rank + the whole allreduce call, with what makes it sparse. Transfer is the part of\n"
    "the call that moves bytes or waits for them; ranks that share a core wait for turns, too.\n";
const char* const explanation_of_devices =
    "\nBytes are those that each rank sends in a ring. Times are those between events on each "
    "rank's\n"
    "stream: the allreduce is the whole call, with what makes it sparse and with waiting for the\n"
    "slowest rank, which cannot be told apart from transfer unless the host waits in every step.\n";

}  // namespace

std::string table(const Config& config, const RunInfo& info,
                  std::span<const MethodResult> results) {
  const std::size_t steps = results.empty() ? 0 : results.front().steps;
  std::string text = format(
      "%d rank%s, %s, %s parameters, %s training images, %zu steps of %zu images\n"
      "density %g, mu %g, wire %s, learning rate %g, seed %llu\n\n",
      info.ranks, info.ranks == 1 ? "" : "s", describe(info.network).c_str(),
      grouped(static_cast<double>(info.network.parameter_count)).c_str(),
      grouped(static_cast<double>(info.training_images)).c_str(), steps, config.batch,
      config.density, config.mu, sparccl::name_of(config.wire), config.learning_rate,
      static_cast<unsigned long long>(config.seed));
  text.insert(text.size() - 1, particulars(config));
  if (!info.device.empty()) text.insert(text.size() - 1, info.device + "\n");

  const char* const row = "%-8s %9s %12s %12s %10s %10s %10s %10s %10s\n";
  text += format(row, "", "test", "bytes sent", "compres-", "time per", "", "", "all-", "of which");
  text += format(row, "method", "accuracy", "per step", "sion", "step", "computing", "waiting",
                 "reduce", "transfer");
  text += std::string(8 + 10 + 13 + 13 + 5 * 11, '-') + "\n";
  const auto ms = [](std::optional<double> seconds) {
    return seconds ? format("%.2f ms", 1e3 * *seconds) : "-";
  };
  for (const MethodResult& result : results) {
    const auto ratio = compression(result);
    const StepSeconds& seconds = result.seconds;
    text += format(row, name_of(result.method),
                   format("%.2f %%", 100 * result.curve.back().test_accuracy).c_str(),
                   grouped(result.wire_bytes_per_step).c_str(),
                   ratio ? format("%.1f x", *ratio).c_str() : "-", ms(seconds.total()).c_str(),
                   ms(seconds.compute).c_str(), ms(seconds.wait).c_str(),
                   ms(seconds.allreduce).c_str(), ms(seconds.transfer).c_str());
  }
  return text + (info.device.empty() ? explanation_of_hosts : explanation_of_devices);
}

std::string json(const Config& config, const RunInfo& info, std::span<const MethodResult> results) {
  Json root;
  root["sparccl_version"] = version();
  root["world_size"] = info.ranks;
  root["device"] = info.device.empty() ? Json() : Json(info.device);
  root["parameters"] = info.network.parameter_count;
  root["training_images"] = info.training_images;
  root["test_images"] = info.test_images;
  root["config"] = {{"backend", name_of(config.backend)},
                    {"data", (config.cifar10.empty() ? config.data : config.cifar10).string()},
                    {"convolutions", config.convolutions},
                    {"widths", info.network.widths},
                    {"dataset", config.cifar10.empty() ? "mnist" : "cifar10"},
                    {"epochs", config.steps > 0 ? Json() : Json(config.epochs)},
                    {"steps", config.steps > 0 ? Json(config.steps) : Json()},
                    {"batch", config.batch},
                    {"local_steps", config.local_steps},
                    {"shards", name_of(config.shards)},
                    {"learning_rate", config.learning_rate},
                    {"density", config.density},
                    {"mu", config.mu},
                    {"wire", sparccl::name_of(config.wire)},
                    {"warmup", config.warmup},
                    {"accordion", config.accordion},
                    {"interval", config.interval},
                    {"seed", config.seed}};
  root["methods"] = Json::array();
  for (const MethodResult& result : results) {
    const auto ratio = compression(result);
    Json method;
    method["method"] = name_of(result.method);
    method["steps"] = result.steps;
    method["test_accuracy"] = result.curve.back().test_accuracy;
    method["bytes_per_step"] = result.wire_bytes_per_step;
    method["compression"] = ratio ? Json(*ratio) : Json();
    method["seconds_per_step"] = {{"total", result.seconds.total()},
                                  {"compute", result.seconds.compute},
                                  {"wait", json_of(result.seconds.wait)},
                                  {"allreduce", result.seconds.allreduce},
                                  {"transfer", json_of(result.seconds.transfer)}};
    method["sparse_allreduce"] = result.stats ? stats_of(*result.stats) : Json();
    method["curve"] = curve_of(result.curve);
    root["methods"].push_back(std::move(method));
  }
  return root.dump(2) + "\n";
}

}  // namespace mnist
