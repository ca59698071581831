// Many runs, each with a result that is kept as soon as it is there.
#pragma once

#include <cstddef>
#include <filesystem>
#include <nlohmann/json.hpp>

namespace study {

class Study {
 public:
  /// `about`: what all runs have in common. file: empty where nothing is to be kept; otherwise what
  /// an interrupted study left there counts as done, if it is about the same. Throws
  /// std::runtime_error that names the file where it is of something else, broken, or cannot be
  /// written.
  Study(std::filesystem::path file, nlohmann::json about);

  /// The run whose fields are all those of `key`, and more; null: not done yet.
  [[nodiscard]] const nlohmann::json* find(const nlohmann::json& key) const;

  /// The number in that field of a run that find() found. Throws std::runtime_error that names the
  /// file where there is none.
  [[nodiscard]] double number(const nlohmann::json& run, const char* field) const;

  /// A run that is done: `result` with the fields of `key`. Replaces the file when all of it is
  /// written.
  const nlohmann::json& add(const nlohmann::json& key, nlohmann::json result);

  /// All that is done, in the order in which it came.
  [[nodiscard]] const nlohmann::json& runs() const { return content_.at("runs"); }

 private:
  void save() const;

  std::filesystem::path file_;
  nlohmann::json content_;
};

}  // namespace study
