#include "check.hpp"

#include <algorithm>
#include <cstring>

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
      oracle_(ranks, shape),
      given_(shape.count) {}

void Checker::next(std::span<std::byte> gradient) {
  for (std::size_t j = 0; j < shape_.count; ++j) {
    for (int rank = 0; rank < ranks_.size(); ++rank) {
      const std::int32_t value = integers_(rank, step_, j);
      given_[j] += static_cast<float>(value);
      if (rank == ranks_.rank()) write(shape_.type, gradient.data(), j, value);
    }
  }
  ++step_;
  expected_ = {};
}

std::uint64_t Checker::wrong(std::span<const std::byte> result, std::span<const std::byte> residual,
                             Expect expect) {
  if (expect == Expect::oracle && expected_.empty()) {
    expected_ = oracle_.step(integers_, step_ - 1);
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
  std::vector<float> left(end - begin);
  if (!residual.empty()) {
    for (std::size_t j = begin; j < end; ++j) {
      left[j - begin] = static_cast<float>(read(accumulator_of(shape_.type), residual.data(), j));
    }
    ranks_.sum(left);
  }
  const double scale = shape_.reduction == Reduction::avg ? ranks_.size() : 1;
  std::uint64_t wrong = 0;
  for (std::size_t j = begin; j < end; ++j) {
    const double found = scale * read(shape_.type, result.data(), j);
    const double rest = static_cast<double>(left[j - begin]);
    const double given = static_cast<double>(given_[j]);
    bool right = found + rest == given;
    if (expect == Expect::dense) right = right && found == given;
    if (expect == Expect::oracle) right = right && found == static_cast<double>(expected_[j]);
    if (!right) ++wrong;
    given_[j] = left[j - begin];
  }
  return wrong;
}

}  // namespace sparccl::perf
