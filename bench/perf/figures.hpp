// The figures of a run, and the formulas behind them: docs/performance.md.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include <sparccl/sparccl.hpp>

namespace sparccl::perf {

/// Seconds a call, over timed blocks.
struct Spread {
  double median = 0, min = 0, max = 0, p25 = 0, p75 = 0;
};
[[nodiscard]] Spread spread_of(std::vector<double> seconds);
[[nodiscard]] double median_of(std::vector<double> values);

/// The median of dense[i] / sparse[i].
[[nodiscard]] double paired_speedup(const std::vector<double>& dense,
                                    const std::vector<double>& sparse);

/// Bytes that a rank sends in a dense ring allreduce.
[[nodiscard]] double dense_wire_bytes(std::size_t bytes, int ranks);

/// As the head of the table, --help and docs/performance.md say it.
inline constexpr const char* break_even_meaning =
    "the bandwidth of each rank's link below which the row's path is faster than dense, if bytes "
    "cost their time on the wire and nothing else; sparccl_plan's break-even bandwidth is the one "
    "of the fastest sparse path, latencies counted";

/// break_even_meaning, in bits a second: from bytes that each rank sends and the seconds of
/// arithmetic around them. None where there is no such link.
[[nodiscard]] std::optional<double> break_even_bits(double dense_bytes, double sparse_bytes,
                                                    double compute_seconds);

/// What is measured: a tensor, and how it is reduced.
struct Case {
  std::size_t bytes = 0;
  std::size_t count = 0;
  DataType type = DataType::float32;
  Reduction reduction = Reduction::sum;
  double density = 0;
  double mu = 0;
  DataType wire = DataType::float32;
  Path asked = Path::automatic;
  bool in_place = false;
};

struct Row {
  Case what;
  Path path = Path::automatic;  // taken
  std::string path_reason;
  Spread time;
  Spread dense_time;
  double speedup = 0;
  std::optional<std::uint64_t> wrong;  // none: not checked
  double wire_bytes = 0;               // a call, of the rank that sends most
  std::optional<StageSeconds> stages;  // a call, typical; none over NCCL
  int ranks = 1;

  [[nodiscard]] double algbw() const;                      ///< GB/s
  [[nodiscard]] double busbw() const;                      ///< GB/s
  [[nodiscard]] double dense_busbw() const;                ///< GB/s, of dense_time
  [[nodiscard]] double effective() const;                  ///< GB/s
  [[nodiscard]] std::optional<double> break_even() const;  ///< Gbit/s
};

struct BaselineRow {
  std::string name;
  Case what;
  Path path = Path::automatic;  // of the sparse calls between which it was timed
  Spread time;
  double sparse_speedup = 0;  // of those over it
  std::optional<std::uint64_t> wrong;
  double wire_bytes = 0;
  int ranks = 1;

  [[nodiscard]] double algbw() const;
  [[nodiscard]] double busbw() const;
};

}  // namespace sparccl::perf
