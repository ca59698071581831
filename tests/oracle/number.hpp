// The number formats of tensors and wires, written from IEEE 754 with ldexp and nearbyint and not
// from kernels/formulas.hpp, so that each checks the other.
#pragma once

#include <cstddef>
#include <span>
#include <vector>

#include <sparccl/types.hpp>

namespace sparccl::test {

/// Nearest value of `type`, ties to even; what overflows becomes Inf. Every value is a double.
[[nodiscard]] double round_to(DataType type, double x);

/// Largest finite value, smallest normal and smallest subnormal of `type`.
[[nodiscard]] double largest(DataType type);
[[nodiscard]] double smallest_normal(DataType type);
[[nodiscard]] double smallest_subnormal(DataType type);

/// float64 for float64 tensors, float32 for the others.
[[nodiscard]] DataType accumulator_of(DataType type);

/// A finite accumulated value as it travels: held at the largest finite value of the wire type,
/// then rounded. float64 narrows by way of float32, as the conversions of processors without a
/// direct one do; what that loses stays in the residual.
[[nodiscard]] double to_wire(DataType wire, double a);

/// Distance to the next larger magnitude of `type` at |x|.
[[nodiscard]] double ulp(DataType type, double x);

/// Storage of `type`, little-endian. x must be a value of the type.
void store(DataType type, void* array, std::size_t i, double x);
[[nodiscard]] double load(DataType type, const void* array, std::size_t i);

[[nodiscard]] std::vector<std::byte> to_bytes(DataType type, std::span<const double> values);
[[nodiscard]] std::vector<double> to_doubles(DataType type, const void* array, std::size_t count);

inline constexpr DataType floating_types[] = {DataType::float32, DataType::float16,
                                              DataType::bfloat16, DataType::float64};

}  // namespace sparccl::test
