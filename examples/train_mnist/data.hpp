// The images that the command line asks for.
#pragma once

#include "config.hpp"
#include "idx.hpp"

namespace mnist {

/// Throws std::runtime_error that names the file, what was expected and what was found.
[[nodiscard]] Data load_data(const Config& config);

}  // namespace mnist
