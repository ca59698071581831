// SPARCCL_DEBUG and SPARCCL_DEBUG_FILE: lines for people.
#pragma once

#include <cstdio>
#include <mutex>
#include <string>
#include <string_view>

#include "shim/settings.hpp"

namespace sparccl::shim {

/// Lines as NCCL's: "host:pid SPARCCL WARN ...". To stderr, or to the file that is named (%h: host,
/// %p: process). Thread-safe; never throws.
class Log {
 public:
  Log(LogLevel level, std::string file);
  ~Log();
  Log(const Log&) = delete;
  Log& operator=(const Log&) = delete;

  void warn(std::string_view text) noexcept { write(LogLevel::warn, "WARN", text); }
  void info(std::string_view text) noexcept { write(LogLevel::info, "INFO", text); }
  void trace(std::string_view text) noexcept { write(LogLevel::trace, "TRACE", text); }
  [[nodiscard]] bool traces() const noexcept { return level_ == LogLevel::trace; }

  /// As it is, at any level: the table.
  void print(std::string_view text) noexcept;

 private:
  void write(LogLevel level, const char* name, std::string_view text) noexcept;

  LogLevel level_;
  std::mutex mutex_;
  std::FILE* file_ = stderr;
  std::string prefix_;
};

}  // namespace sparccl::shim
