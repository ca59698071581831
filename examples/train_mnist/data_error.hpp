// What readers of data files throw.
#pragma once

#include <filesystem>
#include <sstream>
#include <stdexcept>

namespace mnist {

/// std::runtime_error("PATH: " and the parts).
template <class... Parts>
[[noreturn]] void fail(const std::filesystem::path& path, const Parts&... parts) {
  std::ostringstream text;
  text << path.string() << ": ";
  (text << ... << parts);
  throw std::runtime_error(text.str());
}

}  // namespace mnist
