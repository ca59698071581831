#include "batches.hpp"

#include <algorithm>
#include <numeric>

namespace mnist {
namespace {

std::vector<std::size_t> all_of(const Dataset& data) {
  std::vector<std::size_t> images(data.size());
  std::iota(images.begin(), images.end(), std::size_t{0});
  return images;
}

/// The same order on every rank, cut into as many parts as there are ranks.
std::vector<std::size_t> shard_of(const Dataset& data, const Config& config, int rank, int ranks) {
  std::vector<std::size_t> images = all_of(data);
  std::mt19937_64 random(config.seed);
  std::ranges::shuffle(images, random);
  if (config.shards == Shards::sorted) {
    std::ranges::stable_sort(images, {}, [&](std::size_t image) { return data.labels[image]; });
  }
  const auto [first, last] = share(images.size(), rank, ranks);
  const auto at = [&](std::size_t i) { return images.begin() + static_cast<std::ptrdiff_t>(i); };
  return {at(first), at(last)};
}

Batches batches_of(const Dataset& data, const Config& config, int rank, int ranks,
                   std::size_t own) {
  if (config.shards == Shards::none) return {all_of(data), config.batch, config.seed};
  const auto stream = static_cast<std::uint64_t>(rank) + 1;
  return {shard_of(data, config, rank, ranks), own, config.seed + (stream << 32)};
}

}  // namespace

std::pair<std::size_t, std::size_t> share(std::size_t count, int rank, int ranks) {
  const auto own = static_cast<std::size_t>(rank);
  const auto all = static_cast<std::size_t>(ranks);
  return {count * own / all, count * (own + 1) / all};
}

Batches::Batches(std::vector<std::size_t> images, std::size_t batch, std::uint64_t seed)
    : order_(std::move(images)), batch_(batch), next_(order_.size()), random_(seed) {}

std::span<const std::size_t> Batches::next() {
  if (next_ + batch_ > order_.size()) {
    std::shuffle(order_.begin(), order_.end(), random_);
    next_ = 0;
  }
  return std::span<const std::size_t>(order_).subspan(std::exchange(next_, next_ + batch_), batch_);
}

RankBatches::RankBatches(const Dataset& data, const Config& config, int rank, int ranks)
    : RankBatches(data, config, rank, ranks, share(config.batch, rank, ranks)) {}

RankBatches::RankBatches(const Dataset& data, const Config& config, int rank, int ranks,
                         std::pair<std::size_t, std::size_t> part)
    : batches_(batches_of(data, config, rank, ranks, part.second - part.first)),
      first_(config.shards == Shards::none ? part.first : 0),
      size_(part.second - part.first) {}

std::span<const std::size_t> RankBatches::next() { return batches_.next().subspan(first_, size_); }

}  // namespace mnist
