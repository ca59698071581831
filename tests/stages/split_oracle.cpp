#include "split_oracle.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <map>
#include <numeric>

namespace sparccl::test {
namespace {

/// The list without its smallest: `room` of the largest magnitudes, ties to the lower position.
EntryList largest_of(const EntryList& list, std::size_t room) {
  std::vector<std::size_t> order(list.positions.size());
  std::iota(order.begin(), order.end(), 0);
  std::stable_sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) {
    return std::fabs(list.values[a]) > std::fabs(list.values[b]);
  });
  order.resize(std::min(order.size(), room));
  std::sort(order.begin(), order.end());
  EntryList best;
  for (const std::size_t i : order) {
    best.positions.push_back(list.positions[i]);
    best.values.push_back(list.values[i]);
  }
  return best;
}

RangePacket packet_of(const EntryList& list, std::uint64_t wanted) {
  RangePacket packet;
  packet.entries = list.positions.size();
  packet.wanted = wanted;
  packet.positions = list.positions;
  packet.values = list.values;
  return packet;
}

}  // namespace

SplitOracle::SplitOracle(const SplitPlan& split, std::vector<std::uint64_t> bounds,
                         std::vector<EntryList> owns, std::vector<Vector> residuals_before)
    : residuals_then(std::move(residuals_before)), split_(split), bounds_(std::move(bounds)) {
  for (std::size_t r = 0; r < owns.size(); ++r) scatter(r, owns[r]);
  for (std::size_t r = 0; r < owns.size(); ++r) reduce(r);
  residuals = residuals_then;
  for (std::size_t r = 0; r < owns.size(); ++r) join(r);
}

double SplitOracle::rounded(double x) const { return round_to(split_.whole.accumulator(), x); }

void SplitOracle::scatter(std::size_t rank, const EntryList& own) {
  sent.emplace_back();
  kept.emplace_back();
  for (std::size_t range = 0; range + 1 < bounds_.size(); ++range) {
    EntryList inside;
    for (std::size_t i = 0; i < own.positions.size(); ++i) {
      if (own.positions[i] < bounds_[range] || own.positions[i] >= bounds_[range + 1]) continue;
      inside.positions.push_back(own.positions[i] - bounds_[range]);
      inside.values.push_back(own.values[i]);
    }
    const EntryList best = largest_of(inside, split_.sent.k);
    sent[rank].push_back(packet_of(best, inside.positions.size()));
    std::size_t next = 0;
    for (std::size_t i = 0; i < inside.positions.size(); ++i) {
      const std::uint64_t position = bounds_[range] + inside.positions[i];
      if (next < best.positions.size() && best.positions[next] == inside.positions[i]) {
        kept[rank].positions.push_back(position);
        kept[rank].values.push_back(inside.values[i]);
        ++next;
      } else {
        double& residual = residuals_then[rank][position];
        residual = rounded(residual + inside.values[i]);
        ++trimmed_;
      }
    }
  }
}

void SplitOracle::reduce(std::size_t range) {
  std::map<std::uint64_t, double> of;
  std::uint64_t wanted = 0;
  for (const auto& packets : sent) {
    const RangePacket& packet = packets[range];
    wanted += packet.wanted;
    for (std::size_t i = 0; i < packet.positions.size(); ++i) {
      double& sum = of[packet.positions[i]];
      sum = rounded(sum + packet.values[i]);
    }
  }
  EntryList list;
  for (const auto& [position, sum] : of) {
    list.positions.push_back(position);
    list.values.push_back(sum);
  }
  const EntryList best = largest_of(list, split_.reduced.k);
  trimmed_ += list.positions.size() - best.positions.size();
  reduced.push_back(packet_of(best, wanted));
  for (std::size_t i = 0; i < best.positions.size(); ++i) {
    sums.positions.push_back(bounds_[range] + best.positions[i]);
    sums.values.push_back(best.values[i]);
  }
}

void SplitOracle::join(std::size_t rank) {
  EntryList history;
  for (std::size_t i = 0; i < kept[rank].positions.size(); ++i) {
    const std::uint64_t position = kept[rank].positions[i];
    const double own = kept[rank].values[i];
    const auto at = std::lower_bound(sums.positions.begin(), sums.positions.end(), position);
    if (at == sums.positions.end() || *at != position) {
      residuals[rank][position] = rounded(residuals[rank][position] + own);
      continue;
    }
    const double others = rounded(sums.values[std::size_t(at - sums.positions.begin())] - own);
    double kept_of_it = others;
    if (split_.whole.distortion == Distortion::previous) {
      kept_of_it = own == 0 ? std::numeric_limits<double>::infinity()
                            : std::fabs(rounded(1 + rounded(others / own)));
    }
    history.positions.push_back(position);
    history.values.push_back(kept_of_it);
  }
  histories.push_back(history);
}

EntryList SplitOracle::result(Reduction reduction) const {
  EntryList list = sums;
  for (double& value : list.values) {
    if (reduction == Reduction::avg) value = rounded(value / split_.whole.world_size);
    value = round_to(split_.whole.type, value);
  }
  return list;
}

}  // namespace sparccl::test
