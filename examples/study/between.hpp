// For --step and its like.
#pragma once

#include <CLI/CLI.hpp>
#include <cmath>
#include <string>

namespace study {

inline constexpr double tiny = 1e-30;  // "above zero"

/// Written so that a NaN fails, too; CLI::Range lets it pass. words: what is expected.
inline CLI::Validator between(double low, double high, const char* words) {
  return CLI::Validator(
      [=](const std::string& text) {
        double value = NAN;
        const bool number = CLI::detail::lexical_cast(text, value);
        if (number && value >= low && value <= high) return std::string();
        return std::string("expected ") + words + ", found " + text;
      },
      "");  // said in the error, not in --help
}

}  // namespace study
