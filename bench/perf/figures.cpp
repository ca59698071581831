#include "figures.hpp"

#include <algorithm>
#include <cmath>

namespace sparccl::perf {
namespace {

/// Of ordered values, between neighbours where it falls between them.
double quantile(const std::vector<double>& ordered, double share) {
  const double at = share * static_cast<double>(ordered.size() - 1);
  const auto below = static_cast<std::size_t>(std::floor(at));
  const std::size_t above = std::min(below + 1, ordered.size() - 1);
  const double part = at - std::floor(at);
  return ordered[below] * (1 - part) + ordered[above] * part;
}

double gigabytes(double bytes, double seconds) { return bytes / seconds / 1e9; }

}  // namespace

Spread spread_of(std::vector<double> seconds) {
  std::ranges::sort(seconds);
  return {quantile(seconds, 0.5), seconds.front(), seconds.back(), quantile(seconds, 0.25),
          quantile(seconds, 0.75)};
}

double median_of(std::vector<double> values) { return spread_of(std::move(values)).median; }

double paired_speedup(const std::vector<double>& dense, const std::vector<double>& sparse) {
  std::vector<double> ratios;
  for (std::size_t i = 0; i < sparse.size(); ++i) ratios.push_back(dense[i] / sparse[i]);
  return median_of(std::move(ratios));
}

double dense_wire_bytes(std::size_t bytes, int ranks) {
  return 2.0 * (ranks - 1) / ranks * static_cast<double>(bytes);
}

std::optional<double> break_even_bits(double dense_bytes, double sparse_bytes,
                                      double compute_seconds) {
  if (!(sparse_bytes < dense_bytes) || !(compute_seconds > 0)) return std::nullopt;
  return 8 * (dense_bytes - sparse_bytes) / compute_seconds;
}

double Row::algbw() const { return gigabytes(static_cast<double>(what.bytes), time.median); }
double Row::busbw() const { return gigabytes(wire_bytes, time.median); }
double Row::dense_busbw() const {
  return gigabytes(dense_wire_bytes(what.bytes, ranks), dense_time.median);
}
double Row::effective() const {
  return gigabytes(dense_wire_bytes(what.bytes, ranks), time.median);
}

std::optional<double> Row::break_even() const {
  if (!stages) return std::nullopt;
  const double compute = stages->accumulate + stages->select + stages->pack + stages->merge;
  const auto bits = break_even_bits(dense_wire_bytes(what.bytes, ranks), wire_bytes, compute);
  if (!bits) return std::nullopt;
  return *bits / 1e9;
}

double BaselineRow::algbw() const {
  return gigabytes(static_cast<double>(what.bytes), time.median);
}
double BaselineRow::busbw() const { return gigabytes(wire_bytes, time.median); }

}  // namespace sparccl::perf
