// A dense reduction that shares nothing with plugin/dense.cpp: one entry at a time, in rank order.
#pragma once

#include <cstdint>
#include <cstring>
#include <random>
#include <type_traits>
#include <vector>

#include "number.hpp"

namespace sparccl::test {

inline constexpr DataType all_types[] = {
    DataType::int8,   DataType::uint8,   DataType::int32,   DataType::uint32,  DataType::int64,
    DataType::uint64, DataType::float16, DataType::float32, DataType::float64, DataType::bfloat16};

inline constexpr Reduction all_reductions[] = {Reduction::sum, Reduction::prod, Reduction::max,
                                               Reduction::min, Reduction::avg};

/// One rank's [count] entries of a type, as bytes.
using Bytes = std::vector<std::byte>;

/// Integers of the full range, so that sums wrap; floats of which not every sum is exact.
inline Bytes random_entries(DataType type, std::size_t count, std::uint64_t seed) {
  std::mt19937_64 random(seed);
  Bytes bytes(count * size_of(type));
  std::normal_distribution<double> normal(0.0, 3.0);
  for (std::size_t i = 0; i < count; ++i) {
    if (is_floating_point(type)) {
      store(type, bytes.data(), i, round_to(type, normal(random)));
    } else {
      const std::uint64_t bits = random();
      std::memcpy(bytes.data() + i * size_of(type), &bits, size_of(type));
    }
  }
  return bytes;
}

template <class T>
T naive_integer(const std::vector<T>& values, Reduction reduction) {
  std::uint64_t sum = 0;  // the low bits of sums and products are the same in any width
  std::uint64_t product = 1;
  T largest = values[0];
  T smallest = values[0];
  for (const T value : values) {
    sum += static_cast<std::uint64_t>(value);
    product *= static_cast<std::uint64_t>(value);
    if (value > largest) largest = value;
    if (value < smallest) smallest = value;
  }
  switch (reduction) {
    case Reduction::sum: return static_cast<T>(sum);
    case Reduction::prod: return static_cast<T>(product);
    case Reduction::max: return largest;
    case Reduction::min: return smallest;
    case Reduction::avg: break;
  }
  using Wide = std::conditional_t<std::is_signed_v<T>, std::int64_t, std::uint64_t>;
  return static_cast<T>(static_cast<Wide>(static_cast<T>(sum)) / static_cast<Wide>(values.size()));
}

template <class A>
A naive_float(const std::vector<A>& values, Reduction reduction) {
  A result = values[0];
  for (std::size_t r = 1; r < values.size(); ++r) {
    const A value = values[r];
    switch (reduction) {
      case Reduction::sum:
      case Reduction::avg: result += value; break;
      case Reduction::prod: result *= value; break;
      case Reduction::max: result = result < value ? value : result; break;
      case Reduction::min: result = value < result ? value : result; break;
    }
  }
  if (reduction == Reduction::avg) result /= static_cast<A>(values.size());
  return result;
}

template <class T>
void naive_entry(const std::vector<Bytes>& ranks, std::size_t i, Reduction reduction, Bytes& out) {
  std::vector<T> values(ranks.size());
  for (std::size_t r = 0; r < ranks.size(); ++r) {
    std::memcpy(&values[r], ranks[r].data() + i * sizeof(T), sizeof(T));
  }
  const T result = naive_integer(values, reduction);
  std::memcpy(out.data() + i * sizeof(T), &result, sizeof(T));
}

template <class A>
void naive_entry(const std::vector<Bytes>& ranks, std::size_t i, Reduction reduction, DataType type,
                 Bytes& out) {
  std::vector<A> values(ranks.size());
  for (std::size_t r = 0; r < ranks.size(); ++r) {
    values[r] = static_cast<A>(load(type, ranks[r].data(), i));
  }
  store(type, out.data(), i, round_to(type, static_cast<double>(naive_float(values, reduction))));
}

inline Bytes naive_reduce(const std::vector<Bytes>& ranks, DataType type, Reduction reduction) {
  Bytes out(ranks[0].size());
  for (std::size_t i = 0; i < out.size() / size_of(type); ++i) {
    switch (type) {
      case DataType::int8: naive_entry<std::int8_t>(ranks, i, reduction, out); break;
      case DataType::uint8: naive_entry<std::uint8_t>(ranks, i, reduction, out); break;
      case DataType::int32: naive_entry<std::int32_t>(ranks, i, reduction, out); break;
      case DataType::uint32: naive_entry<std::uint32_t>(ranks, i, reduction, out); break;
      case DataType::int64: naive_entry<std::int64_t>(ranks, i, reduction, out); break;
      case DataType::uint64: naive_entry<std::uint64_t>(ranks, i, reduction, out); break;
      case DataType::float64: naive_entry<double>(ranks, i, reduction, type, out); break;
      default: naive_entry<float>(ranks, i, reduction, type, out); break;
    }
  }
  return out;
}

}  // namespace sparccl::test
