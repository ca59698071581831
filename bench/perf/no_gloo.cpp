// In place of gloo.cpp, in builds without Gloo.
#include "baselines.hpp"
#include "build.hpp"
#include "failures.hpp"

namespace sparccl::perf {
namespace build {
const bool has_gloo = false;
const char* const how_to_get_gloo =
    "--baseline gloo: this sparccl_perf was built without Gloo; install libgloo-dev (script/"
    "bootstrap does) and run cmake again, or leave it out";
}  // namespace build

std::unique_ptr<Baseline> gloo_baseline(Ranks&, const BaselineShape&) {
  throw UsageError(build::how_to_get_gloo);
}

}  // namespace sparccl::perf
