#include "oracle.hpp"

#include <algorithm>
#include <cmath>
#include <functional>
#include <limits>

#include "stages.hpp"

namespace sparccl::perf {
namespace {

constexpr std::size_t slice = 1 << 18;  // of what is summed over the ranks at once

std::size_t ceil_div(std::size_t a, std::size_t b) { return (a + b - 1) / b; }

void sum_in_slices(Ranks& ranks, std::span<float> values) {
  for (std::size_t begin = 0; begin < values.size(); begin += slice) {
    ranks.sum(values.subspan(begin, std::min(slice, values.size() - begin)));
  }
}

/// What RegTop-k multiplies |a| by at a position that was sent: tanh(|r| / mu), r = 1 + (total -
/// own) / own; 1 where that is no number. design.md, section 1.
template <class A>
A damping_of(double own, double total, double mu) {
  if (own == 0) return A(1);
  const A r = A(1) + (static_cast<A>(total) - static_cast<A>(own)) / static_cast<A>(own);
  return std::tanh(std::fabs(r) / static_cast<A>(mu));
}

/// Indices of the `most` largest, ties to the lower; ascending.
template <class A>
std::vector<std::size_t> largest(const std::vector<A>& values, std::size_t most) {
  if (most == 0) return {};
  A threshold = -1;  // below all magnitudes
  std::size_t ties = 0;
  if (most < values.size()) {
    std::vector<A> ordered = values;
    const auto last = ordered.begin() + static_cast<std::ptrdiff_t>(most - 1);
    std::ranges::nth_element(ordered, last, std::greater<>());
    threshold = *last;
    ties = most - static_cast<std::size_t>(std::count_if(
                      ordered.begin(), last, [&](A value) { return value > threshold; }));
  }
  std::vector<std::size_t> chosen;
  chosen.reserve(std::min(most, values.size()));
  for (std::size_t i = 0; i < values.size(); ++i) {
    const bool tie = values[i] == threshold && ties > 0;
    if (!(values[i] > threshold) && !tie) continue;
    if (tie) --ties;
    chosen.push_back(i);
  }
  return chosen;
}

}  // namespace

Oracle::Oracle(Ranks& ranks, const CheckShape& shape)
    : ranks_(ranks),
      shape_(shape),
      last_(shape.count),
      k_(shape.k),
      members_{ranks.rank()},
      held_(shape.count),
      totals_(shape.count),
      senders_(shape.path == Path::split ? shape.count : 0) {
  if (shape.path != Path::hierarchical) return;
  members_.clear();
  std::size_t place = 0;
  for (int rank = 0; rank < ranks.size(); ++rank) {
    const auto at = static_cast<std::size_t>(rank);
    if (shape.nodes[at] != shape.nodes[static_cast<std::size_t>(ranks.rank())]) continue;
    if (rank == ranks.rank()) place = members_.size();
    members_.push_back(rank);
  }
  // Shards of equal length, of which the last has what is left over.
  const std::size_t each = shape.count / members_.size();
  first_ = each * place;
  if (place + 1 < members_.size()) last_ = first_ + each;
  const std::uint64_t length = last_ - first_;
  const double share = static_cast<double>(length) / static_cast<double>(shape.count);
  const auto rounded = static_cast<std::uint64_t>(share * static_cast<double>(shape.k) + 0.5);
  k_ = std::min(std::max<std::uint64_t>(rounded, 1), std::min(shape.k, length));
  if (shape.k == shape.count) k_ = length;
}

int Oracle::steps_known(Path path) {
  return path == Path::split ? static_cast<int>(balance_every) : std::numeric_limits<int>::max();
}

std::span<const float> Oracle::step(const Integers& integers, int step) {
  for (std::size_t j = first_; j < last_; ++j) {
    for (const int member : members_) held_[j] += static_cast<float>(integers(member, step, j));
  }
  select();
  if (shape_.path == Path::split) leave_out_what_has_no_room();
  sum_over_ranks();
  if (shape_.path == Path::split) hand_on_the_largest();
  keep_what_was_not_reduced();
  return totals_;
}

template <class A>
std::vector<A> Oracle::scores() const {
  std::vector<A> scores(last_ - first_);
  for (std::size_t j = first_; j < last_; ++j) {
    scores[j - first_] = std::fabs(static_cast<A>(held_[j]));
  }
  if (shape_.mu == 0) return scores;
  for (const Sent& last : sent_) {
    scores[last.position - first_] *= damping_of<A>(last.own, last.total, shape_.mu);
  }
  return scores;
}

/// The k entries of largest score, ties to the lower position.
void Oracle::select() {
  const std::vector<std::size_t> chosen = accumulator_of(shape_.type) == DataType::float64
                                              ? largest(scores<double>(), k_)
                                              : largest(scores<float>(), k_);
  sent_.clear();
  for (const std::size_t i : chosen) {
    sent_.push_back({first_ + i, static_cast<double>(held_[first_ + i]), 0, true});
  }
}

std::size_t Oracle::range_length() const {
  return ceil_div(shape_.count, static_cast<std::size_t>(ranks_.size()));
}

/// Of what falls into a range, the C largest are sent.
void Oracle::leave_out_what_has_no_room() {
  const auto ranks = static_cast<std::size_t>(ranks_.size());
  const std::size_t room = ceil_div(shape_.k + shape_.k / 2, ranks) + 4;
  std::vector<Sent> sent;
  for (auto begin = sent_.begin(); begin != sent_.end();) {
    const std::size_t range = begin->position / range_length();
    const auto end = std::find_if(
        begin, sent_.end(), [&](const Sent& s) { return s.position / range_length() != range; });
    std::vector<double> magnitudes;
    for (auto each = begin; each != end; ++each) magnitudes.push_back(std::fabs(each->own));
    for (const std::size_t i : largest(magnitudes, room)) {
      sent.push_back(begin[static_cast<std::ptrdiff_t>(i)]);
    }
    begin = end;
  }
  sent_ = std::move(sent);
}

void Oracle::sum_over_ranks() {
  std::ranges::fill(totals_, 0.0F);
  std::ranges::fill(senders_, 0.0F);
  for (const Sent& sent : sent_) {
    totals_[sent.position] = static_cast<float>(sent.own);
    if (!senders_.empty()) senders_[sent.position] = 1;
  }
  sum_in_slices(ranks_, totals_);
  sum_in_slices(ranks_, senders_);
}

/// Of the sums of a range, the D largest come back; what does not is as if it had not been sent.
void Oracle::hand_on_the_largest() {
  const auto ranks = static_cast<std::size_t>(ranks_.size());
  const std::size_t room = ceil_div(2 * shape_.k + shape_.k / 2, ranks) + 4;
  for (std::size_t begin = 0; begin < shape_.count; begin += range_length()) {
    const std::size_t end = std::min(shape_.count, begin + range_length());
    std::vector<std::size_t> positions;
    std::vector<float> magnitudes;
    for (std::size_t j = begin; j < end; ++j) {
      if (senders_[j] == 0) continue;
      positions.push_back(j);
      magnitudes.push_back(std::fabs(totals_[j]));
    }
    for (const std::size_t position : positions) senders_[position] = 0;
    for (const std::size_t i : largest(magnitudes, room)) senders_[positions[i]] = 1;
    for (const std::size_t position : positions) {
      if (senders_[position] == 0) totals_[position] = 0;
    }
  }
  for (Sent& sent : sent_) sent.reduced = senders_[sent.position] != 0;
}

void Oracle::keep_what_was_not_reduced() {
  std::erase_if(sent_, [](const Sent& sent) { return !sent.reduced; });
  for (Sent& sent : sent_) {
    sent.total = static_cast<double>(totals_[sent.position]);
    held_[sent.position] = 0;
  }
}

}  // namespace sparccl::perf
