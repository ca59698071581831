// --study: trains all of a grid, keeps each result, and tells how they compare.
#pragma once

#include "config.hpp"

namespace mnist {

/// On threads of this process. config.study has a value. Returns an exit status; throws
/// std::runtime_error where data are missing, a file is of something else, or a training fails.
[[nodiscard]] int run_study(const Config& config);

}  // namespace mnist
