#include "environment.hpp"

#include <utility>

const char* sparccl::shim::shim_name() noexcept { return "shim_test"; }

namespace sparccl::test {

shim::Environment environment_of(Variables variables) {
  return [variables = std::move(variables)](const char* name) {
    const auto found = variables.find(name);
    return found == variables.end() ? nullptr : found->second.c_str();
  };
}

}  // namespace sparccl::test
