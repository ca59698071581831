#include "number.hpp"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <limits>
#include <stdexcept>

namespace sparccl::test {
namespace {

/// Significand bits with the implicit one; exponents of the smallest and the largest normal.
struct Format {
  int precision, least, greatest;
};

Format format_of(DataType type) {
  switch (type) {
    case DataType::float16: return {11, -14, 15};
    case DataType::bfloat16: return {8, -126, 127};
    case DataType::float32: return {24, -126, 127};
    case DataType::float64: return {53, -1022, 1023};
    default: throw std::invalid_argument("not a floating-point type");
  }
}

std::uint16_t encode16(const Format& format, double x) {
  const int fraction_bits = format.precision - 1;
  const int exponent_bits = 15 - fraction_bits;
  const std::uint32_t sign = std::signbit(x) ? 0x8000u : 0u;
  const std::uint32_t all_ones = ((1u << exponent_bits) - 1u) << fraction_bits;
  if (std::isnan(x)) return static_cast<std::uint16_t>(sign | all_ones | 1u << (fraction_bits - 1));
  if (std::isinf(x)) return static_cast<std::uint16_t>(sign | all_ones);
  if (x == 0) return static_cast<std::uint16_t>(sign);
  const int exponent = std::max(std::ilogb(x), format.least);
  // Units in the last place: the implicit one carries into the exponent field by itself.
  const auto units = static_cast<std::uint32_t>(std::ldexp(std::fabs(x), fraction_bits - exponent));
  const auto bias = static_cast<std::uint32_t>(exponent - format.least) << fraction_bits;
  return static_cast<std::uint16_t>(sign | (bias + units));
}

double decode16(const Format& format, std::uint16_t bits) {
  const int fraction_bits = format.precision - 1;
  const int exponent = (bits & 0x7fff) >> fraction_bits;
  const int fraction = bits & ((1 << fraction_bits) - 1);
  const double sign = (bits & 0x8000) != 0 ? -1.0 : 1.0;
  if (exponent == (1 << (15 - fraction_bits)) - 1) {
    return fraction != 0 ? std::numeric_limits<double>::quiet_NaN()
                         : sign * std::numeric_limits<double>::infinity();
  }
  if (exponent == 0) return sign * std::ldexp(fraction, format.least - fraction_bits);
  return sign *
         std::ldexp((1 << fraction_bits) + fraction, exponent - 1 + format.least - fraction_bits);
}

template <class T>
T load_as(const void* array, std::size_t i) {
  T x;
  std::memcpy(&x, static_cast<const char*>(array) + i * sizeof(T), sizeof(T));
  return x;
}

template <class T>
void store_as(void* array, std::size_t i, T x) {
  std::memcpy(static_cast<char*>(array) + i * sizeof(T), &x, sizeof(T));
}

}  // namespace

double largest(DataType type) {
  const Format format = format_of(type);
  return std::ldexp(2.0 - std::ldexp(1.0, 1 - format.precision), format.greatest);
}

double smallest_normal(DataType type) { return std::ldexp(1.0, format_of(type).least); }

double smallest_subnormal(DataType type) {
  const Format format = format_of(type);
  return std::ldexp(1.0, format.least - format.precision + 1);
}

double round_to(DataType type, double x) {
  if (type == DataType::float64 || x == 0 || !std::isfinite(x)) return x;
  if (type == DataType::float32) return static_cast<double>(static_cast<float>(x));
  const double quantum = ulp(type, x);
  const double rounded = std::nearbyint(x / quantum) * quantum;
  return std::fabs(rounded) > largest(type)
             ? std::copysign(std::numeric_limits<double>::infinity(), x)
             : rounded;
}

DataType accumulator_of(DataType type) {
  return type == DataType::float64 ? DataType::float64 : DataType::float32;
}

double to_wire(DataType wire, double a) {
  const double held = std::clamp(a, -largest(wire), largest(wire));
  if (wire == DataType::float64) return held;
  return round_to(wire, round_to(DataType::float32, held));
}

double ulp(DataType type, double x) {
  const Format format = format_of(type);
  const int exponent = x == 0 ? format.least : std::max(std::ilogb(x), format.least);
  return std::ldexp(1.0, exponent - format.precision + 1);
}

void store(DataType type, void* array, std::size_t i, double x) {
  switch (type) {
    case DataType::float32: return store_as(array, i, static_cast<float>(x));
    case DataType::float64: return store_as(array, i, x);
    default: return store_as(array, i, encode16(format_of(type), x));
  }
}

double load(DataType type, const void* array, std::size_t i) {
  switch (type) {
    case DataType::float32: return load_as<float>(array, i);
    case DataType::float64: return load_as<double>(array, i);
    default: return decode16(format_of(type), load_as<std::uint16_t>(array, i));
  }
}

std::vector<std::byte> to_bytes(DataType type, std::span<const double> values) {
  std::vector<std::byte> bytes(values.size() * size_of(type));
  for (std::size_t i = 0; i < values.size(); ++i) store(type, bytes.data(), i, values[i]);
  return bytes;
}

std::vector<double> to_doubles(DataType type, const void* array, std::size_t count) {
  std::vector<double> values(count);
  for (std::size_t i = 0; i < count; ++i) values[i] = load(type, array, i);
  return values;
}

}  // namespace sparccl::test
