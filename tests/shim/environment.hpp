// Variables as a test wants them, in place of the process's.
#pragma once

#include <map>
#include <string>

#include "shim/process.hpp"

namespace sparccl::test {

using Variables = std::map<std::string, std::string>;

/// A copy of them, to be asked.
[[nodiscard]] shim::Environment environment_of(Variables variables);

}  // namespace sparccl::test
