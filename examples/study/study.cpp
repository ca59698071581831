#include "study/study.hpp"

#include <algorithm>
#include <fstream>
#include <stdexcept>
#include <utility>

namespace study {
namespace {

using nlohmann::json;

[[noreturn]] void refuse(const std::filesystem::path& file, const std::string& why) {
  throw std::runtime_error(file.string() + ": " + why);
}

bool has(const json& run, const json& key) {
  return std::ranges::all_of(key.items(), [&](const auto& field) {
    const auto found = run.find(field.key());
    return found != run.end() && *found == field.value();
  });
}

/// As numbers that were written and read again are: 1 and 1.0 are one.
json normal(const json& value) { return json::parse(value.dump()); }

}  // namespace

Study::Study(std::filesystem::path file, json about)
    : file_(std::move(file)), content_{{"about", normal(about)}, {"runs", json::array()}} {
  if (file_.empty()) return;
  if (std::filesystem::is_directory(file_)) refuse(file_, "is a folder: name a file");
  if (std::filesystem::exists(file_)) {
    std::ifstream stream(file_);
    const json found = json::parse(stream, nullptr, false);
    const auto is_object = [](const json& run) { return run.is_object(); };
    if (!found.is_object() || !found.contains("about") || !found.contains("runs") ||
        !found["runs"].is_array() || !std::ranges::all_of(found["runs"], is_object)) {
      refuse(file_,
             "expected what an earlier study wrote, found something else: remove it, or name "
             "another file");
    }
    if (found["about"] != content_["about"]) {
      refuse(file_, "is of another study (" + found["about"].dump() + ", this is " +
                        content_["about"].dump() + "): remove it, or name another file");
    }
    content_ = found;
  }
  save();  // what cannot be written is told before anything runs
}

const json* Study::find(const json& key) const {
  const json wanted = normal(key);
  const auto found =
      std::ranges::find_if(runs(), [&](const json& run) { return has(run, wanted); });
  return found == runs().end() ? nullptr : &*found;
}

double Study::number(const json& run, const char* field) const {
  const auto found = run.find(field);
  if (found == run.end() || !found->is_number()) {
    refuse(file_, std::string("expected a number \"") + field +
                      "\" of each run, found one without: remove it, or name another file");
  }
  return found->get<double>();
}

const json& Study::add(const json& key, json result) {
  result.update(normal(key));
  content_["runs"].push_back(std::move(result));
  if (!file_.empty()) save();
  return content_["runs"].back();
}

void Study::save() const {
  const std::filesystem::path part = file_.string() + ".part";
  {
    std::ofstream stream(part);
    stream << "{\"about\": " << content_["about"].dump() << ",\n \"runs\": [";
    const char* separator = "\n  ";
    for (const json& run : runs()) {
      stream << std::exchange(separator, ",\n  ") << run.dump();
    }
    stream << "]}\n";
    stream.close();
    if (!stream) refuse(file_, "cannot be written");
  }
  std::filesystem::rename(part, file_);
}

}  // namespace study
