#include "shim/log.hpp"

#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>

namespace sparccl::shim {
namespace {

std::string host_name() {
  std::array<char, 256> name{};
  if (gethostname(name.data(), name.size() - 1) != 0) return "?";
  return name.data();
}

std::string expand(std::string text) {
  const auto replace = [&](std::string_view what, const std::string& by) {
    for (std::size_t at = text.find(what); at != std::string::npos;
         at = text.find(what, at + by.size())) {
      text.replace(at, what.size(), by);
    }
  };
  replace("%h", host_name());
  replace("%p", std::to_string(getpid()));
  return text;
}

}  // namespace

Log::Log(LogLevel level, std::string file)
    : level_(level), prefix_(host_name() + ":" + std::to_string(getpid()) + " SPARCCL ") {
  if (file.empty()) return;
  file = expand(std::move(file));
  file_ = std::fopen(file.c_str(), "ae");
  if (file_ == nullptr) {
    const std::string why = std::strerror(errno);
    file_ = stderr;
    warn("SPARCCL_DEBUG_FILE: expected a file that can be written, found " + file + ": " + why +
         "; lines go to stderr");
  }
}

Log::~Log() {
  if (file_ != stderr) std::fclose(file_);
}

void Log::write(LogLevel level, const char* name, std::string_view text) noexcept try {
  if (level > level_) return;
  print(prefix_ + name + " " + std::string(text) + "\n");
} catch (...) {
}

void Log::print(std::string_view text) noexcept try {
  const std::lock_guard lock(mutex_);
  std::fwrite(text.data(), 1, text.size(), file_);
  std::fflush(file_);
} catch (...) {
}

}  // namespace sparccl::shim
