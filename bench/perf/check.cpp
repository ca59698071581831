#include "check.hpp"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <functional>

#include "formulas.hpp"

namespace sparccl::perf {
namespace {

constexpr std::size_t slice = 1 << 18;  // of what is summed over the ranks at once

std::uint64_t hash_of(std::span<const std::byte> bytes) {
  std::uint64_t hash = bytes.size();
  while (!bytes.empty()) {
    std::uint64_t word = 0;
    const std::size_t taken = std::min(bytes.size(), sizeof word);
    std::memcpy(&word, bytes.data(), taken);
    hash = (hash ^ word) * 0x9e3779b97f4a7c15u;
    hash ^= hash >> 29;
    bytes = bytes.subspan(taken);
  }
  return hash;
}

}  // namespace

Checker::Checker(Ranks& ranks, const CheckShape& shape, const Integers& integers)
    : ranks_(ranks),
      shape_(shape),
      integers_(integers),
      given_(shape.count),
      own_(shape.count),
      sent_(shape.count) {}

void Checker::next(std::span<std::byte> gradient) {
  for (std::size_t j = 0; j < shape_.count; ++j) {
    for (int rank = 0; rank < ranks_.size(); ++rank) {
      const std::int32_t value = integers_(rank, step_, j);
      given_[j] += static_cast<float>(value);
      if (rank != ranks_.rank()) continue;
      own_[j] += static_cast<float>(value);
      write(shape_.type, gradient.data(), j, value);
    }
  }
  ++step_;
  picked_ = false;
}

/// The k entries of largest score, ties to the lower position. design.md, section 1.
template <class A>
void Checker::pick() {
  std::vector<A> scores(shape_.count);
  for (std::size_t j = 0; j < shape_.count; ++j) scores[j] = std::fabs(static_cast<A>(own_[j]));
  if (shape_.mu > 0) {
    for (const Sent& last : history_) {
      const A ratio =
          remember<A>(Distortion::previous, static_cast<A>(last.own), static_cast<A>(last.total));
      scores[last.position] *=
          damping<A>(Distortion::previous, ratio, static_cast<A>(own_[last.position]),
                     damping_mu<A>(shape_.mu));
    }
  }
  const auto k = static_cast<std::size_t>(shape_.k);
  std::vector<A> ordered = scores;
  const auto kth = ordered.begin() + static_cast<std::ptrdiff_t>(k - 1);
  std::ranges::nth_element(ordered, kth, std::greater<>());
  const A threshold = *kth;
  auto ties = k - static_cast<std::size_t>(std::count_if(
                      ordered.begin(), kth, [&](A score) { return score > threshold; }));
  history_.clear();
  std::ranges::fill(sent_, 0.0f);
  for (std::size_t j = 0; j < shape_.count; ++j) {
    const bool tie = scores[j] == threshold && ties > 0;
    if (!(scores[j] > threshold) && !tie) continue;
    if (tie) --ties;
    sent_[j] = own_[j];
    own_[j] = 0;
    history_.push_back({j, static_cast<double>(sent_[j]), 0});
  }
}

std::uint64_t Checker::wrong(std::span<const std::byte> result, std::span<const std::byte> residual,
                             Expect expect) {
  if (expect == Expect::top_k && !picked_) {
    if (accumulator_of(shape_.type) == DataType::float64) {
      pick<double>();
    } else {
      pick<float>();
    }
    picked_ = true;
  }
  std::uint64_t wrong = 0;
  for (std::size_t begin = 0; begin < shape_.count; begin += slice) {
    wrong += wrong_in(begin, std::min(shape_.count, begin + slice), result, residual, expect);
  }
  const std::vector<std::uint64_t> hashes = ranks_.gather(hash_of(result));
  const bool differs = hashes[static_cast<std::size_t>(ranks_.rank())] != hashes[0];
  return differs ? std::max<std::uint64_t>(wrong, 1) : wrong;
}

std::uint64_t Checker::wrong_in(std::size_t begin, std::size_t end,
                                std::span<const std::byte> result,
                                std::span<const std::byte> residual, Expect expect) {
  std::vector<float> left(end - begin), totals;
  if (!residual.empty()) {
    for (std::size_t j = begin; j < end; ++j) {
      left[j - begin] = static_cast<float>(read(accumulator_of(shape_.type), residual.data(), j));
    }
    ranks_.sum(left);
  }
  if (expect == Expect::top_k) {
    totals.assign(sent_.begin() + static_cast<std::ptrdiff_t>(begin),
                  sent_.begin() + static_cast<std::ptrdiff_t>(end));
    ranks_.sum(totals);
    remember_totals(begin, end, totals);
  }
  const double scale = shape_.reduction == Reduction::avg ? ranks_.size() : 1;
  std::uint64_t wrong = 0;
  for (std::size_t j = begin; j < end; ++j) {
    const double found = scale * read(shape_.type, result.data(), j);
    const double rest = static_cast<double>(left[j - begin]);
    const double given = static_cast<double>(given_[j]);
    bool right = found + rest == given;
    if (expect == Expect::dense) right = right && found == given;
    if (expect == Expect::top_k) right = right && found == static_cast<double>(totals[j - begin]);
    if (!right) ++wrong;
    given_[j] = left[j - begin];
  }
  return wrong;
}

void Checker::remember_totals(std::size_t begin, std::size_t end, std::span<const float> totals) {
  const auto before = [](const Sent& sent, std::size_t position) {
    return sent.position < position;
  };
  for (auto sent = std::lower_bound(history_.begin(), history_.end(), begin, before);
       sent != history_.end() && sent->position < end; ++sent) {
    sent->total = static_cast<double>(totals[sent->position - begin]);
  }
}

}  // namespace sparccl::perf
