// A check of options that name files.
#pragma once

#include <string>

namespace study {

/// For CLI11: an empty word would count as none given.
[[nodiscard]] inline std::string no_name(const std::string& text) {
  return text.empty() ? "expected a name, found nothing" : "";
}

}  // namespace study
