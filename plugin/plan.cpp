#include "plan.hpp"

#include <algorithm>
#include <cmath>
#include <sstream>

#include "wire.hpp"

namespace sparccl {
namespace {

template <class T>
[[noreturn]] void reject(std::string_view tensor, const char* what, const char* expected,
                         const T& found) {
  std::ostringstream message;
  message << about(tensor) << what << ": expected " << expected << ", found " << found;
  throw Error(Result::invalid_argument, message.str());
}

std::size_t entries_per_step(std::string_view tensor, std::size_t count, const Options& options) {
  if (options.k) {
    if (*options.k == 0) reject(tensor, "k", "at least 1", 0);
    if (*options.k > count) {
      reject(tensor, "k",
             ("at most the " + std::to_string(count) + " entries of the tensor").c_str(),
             *options.k);
    }
    return static_cast<std::size_t>(*options.k);
  }
  if (!(options.density > 0.0 && options.density <= 1.0)) {
    reject(tensor, "density", "a number in (0, 1]", options.density);
  }
  const double k = std::round(options.density * static_cast<double>(count));
  return std::clamp(static_cast<std::size_t>(k), std::size_t{1}, count);
}

DataType wire_type(std::string_view tensor, DataType type, const Options& options) {
  const DataType wire = options.wire.value_or(type);
  if (!is_floating_point(wire)) {
    reject(tensor, "wire type", "float16, bfloat16, float32 or float64", name_of(wire));
  }
  if (wire == DataType::float64 && type != DataType::float64) {
    reject(tensor, "wire type", "float64 only for a float64 tensor", name_of(type));
  }
  return wire;
}

template <class Enum>
void require_within(std::string_view tensor, const char* what, Enum value, Enum last) {
  const auto number = static_cast<std::int32_t>(value);
  const auto most = static_cast<std::int32_t>(last);
  if (number < 0 || number > most) {
    reject(tensor, what, ("0 to " + std::to_string(most)).c_str(), number);
  }
}

}  // namespace

std::string about(std::string_view tensor) { return "tensor \"" + std::string(tensor) + "\": "; }

Plan make_plan(std::string_view tensor, std::size_t count, DataType type, const Options& options,
               Place place) {
  if (tensor.empty()) reject(tensor, "name", "at least one character", "none");
  if (count == 0) reject(tensor, "count", "at least 1 entry", 0);
  if (count > wire::max_count) {
    reject(tensor, "count", ("at most " + std::to_string(wire::max_count) + " entries").c_str(),
           count);
  }
  if (!is_floating_point(type)) {
    reject(tensor, "type", "float16, bfloat16, float32 or float64", name_of(type));
  }
  if (!(options.mu >= 0.0 && std::isfinite(options.mu))) {
    reject(tensor, "mu", "a finite number >= 0", options.mu);
  }
  if (options.reduction != Reduction::sum && options.reduction != Reduction::avg) {
    reject(tensor, "reduction", "sum or avg", name_of(options.reduction));
  }
  require_within(tensor, "distortion", options.distortion, Distortion::current);
  require_within(tensor, "non-finite policy", options.non_finite, NonFinite::error);
  require_within(tensor, "path", options.path, Path::hierarchical);

  Plan plan;
  plan.count = count;
  plan.k = entries_per_step(tensor, count, options);
  plan.world_size = place.world_size;
  plan.rank = place.rank;
  plan.type = type;
  plan.wire = wire_type(tensor, type, options);
  plan.mu = options.mu + 0.0;  // -0.0 becomes 0.0: ranks compare the bits
  plan.distortion = options.distortion;
  return plan;
}

std::uint64_t dense_bytes(const Plan& plan) noexcept {
  const auto world = static_cast<std::uint64_t>(plan.world_size);
  return 2 * (world - 1) * (plan.count * size_of(plan.type)) / world;
}

}  // namespace sparccl
