// For builds without nlohmann-json.
#include "calibration.hpp"

namespace sparccl {
namespace {

[[noreturn]] void not_there(const std::string& what) {
  throw Error(Result::invalid_usage,
              "calibration file: expected a library that was built with nlohmann-json, found one "
              "without, which cannot " +
                  what + "; set SPARCCL_CALIBRATION=probe");
}

}  // namespace

std::string text_of(const Costs&) { not_there("write one"); }

Costs parse_costs(const std::string&, const std::filesystem::path& path) {
  not_there("read " + path.string());
}

}  // namespace sparccl
