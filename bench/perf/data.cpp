#include "data.hpp"

#include <algorithm>
#include <cstring>
#include <string>
#include <vector>

#include "failures.hpp"
#include "formulas.hpp"
#include "host_data.hpp"
#include "settings.hpp"

namespace sparccl::perf {
namespace {

template <class T>
T load(const void* tensor, std::size_t position) {
  T value;
  std::memcpy(&value, static_cast<const std::byte*>(tensor) + position * sizeof(T), sizeof(T));
  return value;
}

template <class T>
void store(void* tensor, std::size_t position, T value) {
  std::memcpy(static_cast<std::byte*>(tensor) + position * sizeof(T), &value, sizeof(T));
}

/// Up to which all integers are exact.
std::int64_t exact_up_to(DataType type) {
  switch (type) {
    case DataType::bfloat16: return 1 << 8;
    case DataType::float16: return 1 << 11;
    default: return 1 << 24;  // float64 too: the checker's own sums are float32
  }
}

std::uint64_t mixed(std::uint64_t x) {
  x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9u;
  x = (x ^ (x >> 27)) * 0x94d049bb133111ebu;
  return x ^ (x >> 31);
}

}  // namespace

void fill_normal(DataType type, int rank, std::size_t first, std::span<std::byte> out) {
  const std::size_t count = out.size() / size_of(type);
  constexpr std::size_t piece = 65536;
  std::vector<float> numbers;
  for (std::size_t done = 0; done < count; done += numbers.size()) {
    numbers.resize(std::min(piece, count - done));
    bench::fill_gaussian(numbers, mixed(static_cast<std::uint64_t>(rank) << 44 ^ (first + done)));
    for (std::size_t i = 0; i < numbers.size(); ++i) {
      write(type, out.data(), done + i, static_cast<double>(numbers[i]));
    }
  }
}

std::int32_t Integers::operator()(int rank, int step, std::size_t position) const {
  const bool returns = position % 2 == 0;
  const std::uint64_t of_rank = mixed(static_cast<std::uint64_t>(rank) << 32 ^
                                      (returns ? 0 : static_cast<std::uint64_t>(step)));
  const std::int32_t largest = returns ? most : (most + 1) / 2;
  const std::uint64_t range = 2 * static_cast<std::uint64_t>(largest) + 1;
  const std::uint64_t number = (mixed(of_rank ^ position) >> 32) * range >> 32;
  const std::int32_t value = static_cast<std::int32_t>(number) - largest;
  return (returns && step % 2 == 1 ? -value : value) * unit;
}

Integers exact_integers(DataType type, DataType wire, Reduction reduction, int ranks, int steps) {
  Integers integers;
  if (reduction == Reduction::avg) {
    integers.unit = ranks;  // dividing by a power of two rounds nothing anyway
    while (integers.unit % 2 == 0) integers.unit /= 2;
  }
  // What is sent is one rank's, the result all ranks'.
  const std::int64_t sent = exact_up_to(wire) / steps;
  const std::int64_t summed = exact_up_to(type) / steps / ranks;
  integers.most =
      static_cast<std::int32_t>(std::min({sent, summed, std::int64_t{4096}}) / integers.unit);
  if (integers.most >= 1) return integers;
  throw UsageError(
      "-c " + std::to_string(steps) + ": sums over " + std::to_string(ranks) + " ranks and " +
      std::to_string(steps) + " steps are not exact in " + type_name(type) +
      ", so results cannot be checked; use a smaller -c, fewer ranks, -o sum, or -c 0");
}

double read(DataType type, const void* tensor, std::size_t position) {
  switch (type) {
    case DataType::float16: return static_cast<double>(to_float(load<float16>(tensor, position)));
    case DataType::bfloat16: return static_cast<double>(to_float(load<bfloat16>(tensor, position)));
    case DataType::float64: return load<double>(tensor, position);
    default: return static_cast<double>(load<float>(tensor, position));
  }
}

void write(DataType type, void* tensor, std::size_t position, double value) {
  switch (type) {
    case DataType::float16: return store(tensor, position, to_float16(static_cast<float>(value)));
    case DataType::bfloat16: return store(tensor, position, to_bfloat16(static_cast<float>(value)));
    case DataType::float64: return store(tensor, position, value);
    default: return store(tensor, position, static_cast<float>(value));
  }
}

}  // namespace sparccl::perf
