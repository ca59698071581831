#include "shim/timeline.hpp"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <nlohmann/json.hpp>

namespace sparccl::shim {

using nlohmann::json;

std::vector<StageSpan> spans_of(double begin_us, const StageSeconds& seconds) {
  std::vector<StageSpan> spans;
  double at = begin_us;
  const auto add = [&](const char* stage, double duration) {
    spans.push_back({stage, at, at + 1e6 * duration});
    at = spans.back().end_us;
  };
  add("wait", seconds.wait);
  add("accumulate", seconds.accumulate);
  add("select", seconds.select);
  add("pack", seconds.pack);
  add("exchange", seconds.exchange);
  add("merge", seconds.merge);
  return spans;
}

Timeline::Timeline(const std::string& path) : file_(std::fopen(path.c_str(), "we")) {
  if (file_ == nullptr) {
    throw Error(Result::system_error,
                "SPARCCL_TIMELINE: expected a file that can be written, found " + path + ": " +
                    std::strerror(errno));
  }
  std::fputs("[", file_);
}

Timeline::~Timeline() {
  std::fputs("\n]\n", file_);
  std::fclose(file_);
}

/// The closing bracket may be missing in this format: what a killed program leaves can be read.
void Timeline::write(const std::string& event) {
  std::fputs(first_ ? "\n" : ",\n", file_);
  std::fputs(event.c_str(), file_);
  first_ = false;
}

void Timeline::add(const Call& call, std::span<const StageSpan> spans) noexcept try {
  if (spans.empty()) return;
  const std::lock_guard lock(mutex_);
  const auto event = [&](const std::string& name, double begin_us, double end_us) {
    return json{{"name", name},
                {"cat", "sparccl"},
                {"ph", "X"},
                {"ts", begin_us},
                {"dur", end_us - begin_us},
                {"pid", call.rank},
                {"tid", call.communicator}};
  };
  if (std::ranges::find(ranks_, call.rank) == ranks_.end()) {
    ranks_.push_back(call.rank);
    write(json{{"name", "process_name"},
               {"ph", "M"},
               {"pid", call.rank},
               {"args", {{"name", "rank " + std::to_string(call.rank)}}}}
              .dump());
  }
  json whole = event(call.tensor, spans.front().begin_us, spans.back().end_us);
  whole["args"] = {{"wire_bytes", call.wire_bytes}, {"entries", call.entries}};
  write(whole.dump());
  for (const StageSpan& span : spans) write(event(span.stage, span.begin_us, span.end_us).dump());
  std::fflush(file_);
} catch (...) {
}

std::string timeline_path(std::string path, int rank) {
  const std::size_t at = path.find("%r");
  if (at == std::string::npos) return rank == 0 ? path : "";
  return path.replace(at, 2, std::to_string(rank));
}

}  // namespace sparccl::shim
