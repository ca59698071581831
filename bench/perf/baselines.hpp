// What else reduces the same tensor, in host memory: for comparison, in the same run.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>

#include "ranks.hpp"

namespace sparccl::perf {

class Baseline {
 public:
  virtual ~Baseline() = default;
  /// send, recv: [count], equal or disjoint.
  virtual void operator()(const void* send, void* recv, std::size_t count) = 0;
  /// Of a sparse one: [count] floats, which its results and it conserve. Else empty.
  [[nodiscard]] virtual std::span<const std::byte> residual() const { return {}; }
  /// Of a sparse one: bytes that a rank sends in a ring, a call. Else 0.
  [[nodiscard]] virtual std::uint64_t sparse_wire_bytes() const { return 0; }
};

struct BaselineShape {
  std::size_t count = 1;
  std::uint64_t k = 1;
  DataType type = DataType::float32;
  Reduction reduction = Reduction::sum;
};

/// name: mpi, gloo or naive. Collective. Throws NotMeasured where it has no such type or size.
[[nodiscard]] std::unique_ptr<Baseline> make_baseline(const std::string& name, Ranks& ranks,
                                                      const BaselineShape& shape);

/// Gloo's ring over TCP.
[[nodiscard]] std::unique_ptr<Baseline> gloo_baseline(Ranks& ranks, const BaselineShape& shape);

/// The sparse exchange that users write themselves: nth_element over |residual + gradient|, an
/// allgather of int32 positions and float values, and a scatter-add.
[[nodiscard]] std::unique_ptr<Baseline> naive_baseline(Ranks& ranks, const BaselineShape& shape);

template <class T>
void divide(T* values, std::size_t count, int ranks) {
  for (std::size_t i = 0; i < count; ++i) values[i] /= static_cast<T>(ranks);
}

}  // namespace sparccl::perf
