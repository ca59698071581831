#include "shim/timeline.hpp"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <nlohmann/json.hpp>
#include <span>

namespace sparccl::shim {

using nlohmann::json;

Timeline::Timeline(const std::string& path) : file_(std::fopen(path.c_str(), "we")) {
  if (file_ == nullptr) {
    throw Error(Result::system_error,
                "SPARCCL_TIMELINE: expected a file that can be written, found " + path + ": " +
                    std::strerror(errno));
  }
  std::fputs("[", file_);
}

Timeline::~Timeline() { close(); }

void Timeline::close() noexcept {
  const std::lock_guard lock(mutex_);
  if (file_ == nullptr) return;
  std::fputs("\n]\n", file_);
  std::fclose(file_);
  file_ = nullptr;
}

/// The closing bracket may be missing in this format: what a killed program leaves can be read.
void Timeline::write(const std::string& event) {
  std::fputs(first_ ? "\n" : ",\n", file_);
  std::fputs(event.c_str(), file_);
  first_ = false;
}

void Timeline::add(const Call& call, const StageTimes& times) noexcept try {
  const std::lock_guard lock(mutex_);
  if (file_ == nullptr || times.size == 0) return;
  const auto event = [&](const std::string& name, Clock::time_point begin, Clock::time_point end) {
    return json{{"name", name},
                {"cat", "sparccl"},
                {"ph", "X"},
                {"ts", us(begin)},
                {"dur", us(end) - us(begin)},
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
  const auto spans = std::span(times.spans).first(times.size);
  json whole = event(call.tensor, spans.front().begin, spans.back().end);
  whole["args"] = {{"wire_bytes", call.wire_bytes},
                   {"entries", call.entries},
                   {"path", call.path},
                   {"path_reason", call.path_reason}};
  write(whole.dump());
  for (const auto& [stage, begin, end] : spans) write(event(name_of(stage), begin, end).dump());
  std::fflush(file_);
} catch (...) {
}

std::string timeline_path(std::string path, int rank) {
  const std::size_t at = path.find("%r");
  if (at == std::string::npos) return rank == 0 ? path : "";
  return path.replace(at, 2, std::to_string(rank));
}

}  // namespace sparccl::shim
