// The host's backend at every instruction set that the processor has.
#include <cstdlib>

#include "host/sample.hpp"
#include "rig.hpp"

namespace sparccl::test {
namespace {

constexpr const char* simd_variable = "SPARCCL_SIMD";

std::unique_ptr<Backend> make_host(const std::string& level) {
  setenv(simd_variable, level.c_str(), 1);
  try {
    auto backend = make_host_backend();
    unsetenv(simd_variable);
    return backend;
  } catch (const Error&) {  // this processor does not run it
    unsetenv(simd_variable);
    return nullptr;
  }
}

Positions sampled(const Plan& plan, std::uint64_t seed) {
  const std::size_t line =
      plan.type == DataType::float64 ? host::line_size<double> : host::line_size<float>;
  const std::size_t lines = host::lines_per_group(plan);
  const std::size_t group = line * lines;
  Positions positions;
  for (std::size_t g = 0; g < plan.count / group; ++g) {
    const std::size_t begin = g * group + sampled_line(seed, g, lines) * line;
    for (std::size_t i = 0; i < line; ++i) positions.push_back(begin + i);
  }
  return positions;
}

}  // namespace

std::vector<BackendCase> backends() {
  std::vector<BackendCase> cases;
  for (const std::string level : {"portable", "avx2", "avx512"}) {
    if (make_host(level) == nullptr) continue;
    cases.push_back({"host_" + level, [level] { return make_host(level); }, sampled, true});
  }
  return cases;
}

}  // namespace sparccl::test
