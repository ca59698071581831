// How long a step takes on each Path, from costs that were measured or assumed: pure functions, the
// same numbers in give the same numbers out on every rank. docs/performance-model.md.
#pragma once

#include <algorithm>
#include <array>
#include <cmath>
#include <cstddef>
#include <optional>
#include <string>
#include <vector>

#include <sparccl/sparccl.hpp>

namespace sparccl {

struct Point {
  double size = 0;
  double seconds = 0;
};

/// Piecewise linear through its points, of which size ascends: constant before the first of them,
/// where what is fixed dominates; beyond the last along slope(). A single one: proportional beyond.
struct Curve {
  std::vector<Point> points;
  [[nodiscard]] double at(double size) const noexcept;
  /// Seconds per unit of size beyond the last point: of the last segment, or from the first point
  /// to the last where that is more, as it is where the last but one was measured in a bad moment.
  [[nodiscard]] double slope() const noexcept;
};

/// Not std::hypot, whose last bit libraries may differ in: all ranks compute alike.
[[nodiscard]] inline double root_of_squares(double a, double b) noexcept {
  return std::sqrt(a * a + b * b);
}

/// One way from rank to rank. A message takes latency + bytes x per_byte().
struct Link {
  double latency = 0;
  double seconds_per_byte = 0;       ///< of the wire: 1 / bandwidth
  double copy_seconds_per_byte = 0;  ///< of the processors: what no bandwidth makes shorter
  double seconds_per_message = 0;    ///< of the sender, for each of many messages sent at once

  /// Wire and processors work at the same time, but for what one has to wait for the other: between
  /// the larger of the two and their sum. Measured over TCP (docs/adr/0009).
  [[nodiscard]] double per_byte() const noexcept {
    return root_of_squares(seconds_per_byte, copy_seconds_per_byte);
  }
  /// The copies' part of a byte that took `measured` over this wire.
  [[nodiscard]] double copies_of(double measured) const noexcept {
    return std::sqrt(std::max(0.0, measured * measured - seconds_per_byte * seconds_per_byte));
  }
};

/// The arithmetic of a sparse step, of float32 on one rank while all others do the same.
struct StageCosts {
  Curve pass;        ///< over entries of the gradient: accumulate, and ranks' waiting for each
                     ///< other after it where they share cores
  Curve result;      ///< over entries of the result, written
  Curve selected;    ///< seconds per entry sent, over the density: candidates, selection, packing
  Curve merged;      ///< seconds per entry received, over the density: check, sum, history
  double split = 0;  ///< seconds per entry of Path::split that a rank scatters or receives, or
                     ///< that a reduced range hands on; 0: not measured, taken as `merged`
  double reduction = 0;  ///< seconds per byte that a dense reduction adds up
};

/// Where costs hold. Empty or 0: unknown, or assumed.
struct Machine {
  std::string cpu;
  int cores = 0;
  std::string gpu;
  std::string backend;    ///< "host" or "cuda"
  std::string transport;  ///< "local", "mpi", "nccl", ...
  int world_size = 0;
  int ranks_per_node = 0;
};

/// What a dense allreduce of the transport took.
struct DenseCosts {
  Curve curve;                  ///< over bytes of the tensor; empty: not measured
  int ranks = 0;                ///< by so many ranks; for others it is scaled
  double seconds_per_byte = 0;  ///< Link::seconds_per_byte of the network then
  double latency = 0;           ///< Link::latency of the network then
};

struct Costs {
  StageCosts stages;
  Link network;  ///< all ranks in a ring
  Link shared;   ///< all ranks of a node to other nodes at once: they share its link
  Link node;     ///< within a node
  DenseCosts dense;
  Machine machine;
};

struct Workload {
  std::size_t count = 0;
  std::size_t k = 0;
  DataType type = DataType::float32;
  DataType wire = DataType::float32;
  int world_size = 1;
  int ranks_per_node = 0;  ///< of nodes that have equally many; 0 or 1: no hierarchy
  bool split = true;       ///< whether the transport has an all_to_all
};

/// A step of one path, in its parts, which follow one another.
struct Prediction {
  double compute = 0;   ///< seconds in stages of the backend and dense reductions
  double latency = 0;   ///< seconds that messages take however short
  double transfer = 0;  ///< seconds that bytes take
  double bytes = 0;     ///< that a rank sends; of Path::hierarchical, to other nodes
  [[nodiscard]] double seconds() const noexcept { return compute + latency + transfer; }
};

/// In the order in which they are told; a path that cannot be taken has none.
inline constexpr std::array<Path, 4> paths = {Path::dense, Path::allgather, Path::split,
                                              Path::hierarchical};
struct Predictions {
  std::array<std::optional<Prediction>, paths.size()> all;
  [[nodiscard]] const std::optional<Prediction>& of(Path path) const;
  /// The fastest path but the dense one.
  [[nodiscard]] Path best_sparse() const;
};

// Bytes on the wire: the one place that knows them besides the layouts themselves.

/// A packet of wire.hpp, count and k of the whole tensor.
[[nodiscard]] double allgather_bytes(const Workload& workload);
struct SplitBytes {
  double sent = 0;     ///< one of the P slots that a rank sends its entries in
  double reduced = 0;  ///< the slot of a range's reduced entries
};
[[nodiscard]] SplitBytes split_bytes(const Workload& workload);
/// That a ring sends from each rank.
[[nodiscard]] double dense_bytes(const Workload& workload);

/// That a rank works on in Path::split besides those it selects: it scatters and reduces k on
/// average, and joins what the ranges hand on.
[[nodiscard]] double split_entries(const Workload& workload) noexcept;

[[nodiscard]] Predictions predict(const Costs& costs, const Workload& workload);

struct Choice {
  Path path = Path::allgather;
  std::string reason;  ///< "split: 1.9 ms predicted, against 2.4 ms allgather, 31 ms dense"
};

/// A sparse path must be predicted to take at most this share of the dense one's time to be chosen:
/// dense loses nothing, and a prediction is none to the percent.
inline constexpr double worthwhile = 0.9;

[[nodiscard]] Choice choose(const Predictions& predictions);
[[nodiscard]] Choice choose(const Costs& costs, const Workload& workload);

/// The same costs over a network of another bandwidth, in bytes per second.
[[nodiscard]] Costs at_bandwidth(const Costs& costs, double bytes_per_second);

/// Where the fastest sparse path takes as long as the dense one.
struct BreakEven {
  /// Sparse wins up to `value`; from it on, where it sends more bytes in fewer messages; or one
  /// always. Further on it may be otherwise again.
  enum class Kind { at, above, sparse_wins, dense_wins };
  Kind kind = Kind::dense_wins;
  double value = 0;
};
/// Bandwidth of the network in bytes per second.
[[nodiscard]] BreakEven break_even_bandwidth(const Costs& costs, const Workload& workload);
/// Share of the entries: below it sparse wins.
[[nodiscard]] BreakEven break_even_density(const Costs& costs, const Workload& workload);

/// "1.9 ms".
[[nodiscard]] std::string show_seconds(double seconds);

}  // namespace sparccl
