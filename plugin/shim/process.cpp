#include "shim/process.hpp"

#include <unistd.h>

#include <cstdio>
#include <cstdlib>

namespace sparccl::shim {
namespace {

void warn_of_unknown_variables(Log& log) {
  for (char** entry = environ; entry != nullptr && *entry != nullptr; ++entry) {
    const std::string_view text = *entry;
    const std::string_view name = text.substr(0, text.find('='));
    if (name.starts_with("SPARCCL_") && !is_known_variable(name)) {
      log.warn(std::string(name) + " is set, but there is no such variable");
    }
  }
}

Process& make_process() {
  try {
    auto made = std::make_unique<Process>([](const char* name) { return std::getenv(name); });
    warn_of_unknown_variables(made->log());
    return *made.release();  // never freed: threads and exit handlers of others may still come here
  } catch (const std::exception& error) {
    std::fprintf(stderr, "%s: %s\n", shim_name(), error.what());
    _exit(2);
  }
}

}  // namespace

Process::Process(const Environment& environment)
    : settings_(read_settings(environment)),
      shared_(shared_settings(environment)),
      log_(settings_.debug, settings_.debug_file) {}

Timeline* Process::timeline(int rank) {
  const std::string path = timeline_path(settings_.timeline, rank);
  if (settings_.timeline.empty() || path.empty()) return nullptr;
  const std::lock_guard lock(mutex_);
  const auto [found, added] = timelines_.try_emplace(path);
  if (added) {
    try {
      found->second = std::make_unique<Timeline>(path);
    } catch (const Error& error) {  // a picture less is no reason to end the training
      log_.warn(error.what());
    }
  }
  return found->second.get();
}

void Process::close_timelines() noexcept {
  const std::lock_guard lock(mutex_);
  for (auto& [path, timeline] : timelines_) {
    if (timeline != nullptr) timeline->close();
  }
}

std::optional<Reason> Process::refuses(const Key& key, std::uint64_t number) const noexcept {
  if (settings_.disable) return Reason::disabled;
  if (key.reduction != Reduction::sum && key.reduction != Reduction::avg) return Reason::operation;
  if (!is_floating_point(key.type)) return Reason::type;
  if (key.count < settings_.min_count || key.count == 0) return Reason::small;
  const Match& match = settings_.match;
  if (!match.admits_count(key.count) || !match.admits_call(number)) return Reason::not_matched;
  return std::nullopt;
}

Process& process() {
  static Process& instance = make_process();
  return instance;
}

}  // namespace sparccl::shim
