// Which training images a rank looks at, step by step.
#pragma once

#include <cstddef>
#include <cstdint>
#include <random>
#include <span>
#include <utility>
#include <vector>

#include "config.hpp"
#include "idx.hpp"

namespace mnist {

/// Rank r's part of `count` items, [first, last): contiguous, and as large as the others' to within
/// one.
[[nodiscard]] std::pair<std::size_t, std::size_t> share(std::size_t count, int rank, int ranks);

/// Every epoch in a new order. The last, incomplete batch of an epoch is left out.
class Batches {
 public:
  /// batch: images in each, at most images.size().
  Batches(std::vector<std::size_t> images, std::size_t batch, std::uint64_t seed);
  [[nodiscard]] std::span<const std::size_t> next();

 private:
  std::vector<std::size_t> order_;
  std::size_t batch_;
  std::size_t next_;
  std::mt19937_64 random_;
};

/// A rank's share of each step's images, all drawn alike or out of a shard of its own.
class RankBatches {
 public:
  RankBatches(const Dataset& data, const Config& config, int rank, int ranks);
  [[nodiscard]] std::span<const std::size_t> next();

 private:
  RankBatches(const Dataset& data, const Config& config, int rank, int ranks,
              std::pair<std::size_t, std::size_t> part);

  Batches batches_;
  std::size_t first_, size_;  // of next() of batches_
};

}  // namespace mnist
