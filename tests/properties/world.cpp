#include "world.hpp"

#include <algorithm>
#include <cstring>
#include <sstream>

#include <gtest/gtest.h>

#include "sparse_allreduce.hpp"

namespace sparccl::test {

std::size_t history_entries_of(const SparseAllreduce& tensor) {
  return history_entries(tensor.impl().plan(), tensor.impl().memory());
}

Bytes state_of(const SparseAllreduce& tensor) {
  const Plan& plan = tensor.impl().plan();
  const Memory& memory = tensor.impl().memory();
  const std::size_t entries = history_entries_of(tensor);
  const std::size_t width = size_of(plan.accumulator());
  Bytes bytes;
  const auto add = [&](const void* part, std::size_t size) {
    const auto* begin = static_cast<const std::byte*>(part);
    bytes.insert(bytes.end(), begin, begin + size);
  };
  add(memory.residual, plan.count * width);
  add(memory.sent_per_block, plan.blocks() * sizeof(std::uint32_t));
  add(memory.sent_offsets, entries * sizeof(std::uint16_t));
  add(memory.sent_ratios, entries * width);
  return bytes;
}

Vector residual_of(const SparseAllreduce& tensor) {
  return to_doubles(tensor.impl().plan().accumulator(), tensor.residual(), tensor.count());
}

Options options_of(const Shape& shape) {
  return {.k = shape.k,
          .mu = shape.mu,
          .distortion = shape.distortion,
          .wire = shape.wire,
          .reduction = shape.reduction};
}

World::World(const Shape& shape, const Options& options, const std::string& name)
    : shape_(shape), communicators_(Communicator::local(shape.ranks)) {
  for (const Communicator& communicator : communicators_) {
    tensors_.push_back(
        std::make_unique<SparseAllreduce>(communicator, name, shape.count, shape.type, options));
  }
}

void World::each(const std::function<void(SparseAllreduce&, int)>& f) {
  on_each(communicators_, [&](Communicator& c) { f(tensor(c.rank()), c.rank()); });
}

std::vector<Bytes> World::step(const std::vector<Vector>& gradients, double loss_scale) {
  std::vector<Bytes> results(communicators_.size());
  each([&](SparseAllreduce& allreduce, int rank) {
    const auto r = static_cast<std::size_t>(rank);
    const Bytes gradient = to_bytes(shape_.type, gradients[r]);
    Bytes result(gradient.size(), std::byte{0xee});
    allreduce(gradient.data(), result.data(), loss_scale);
    results[r] = std::move(result);
  });
  return results;
}

std::vector<Vector> World::residuals() const {
  std::vector<Vector> all;
  for (const auto& tensor : tensors_) all.push_back(residual_of(*tensor));
  return all;
}

std::vector<Bytes> World::states() const {
  std::vector<Bytes> all;
  for (const auto& tensor : tensors_) all.push_back(state_of(*tensor));
  return all;
}

std::optional<Error> error_of(const std::function<void()>& f) {
  try {
    f();
  } catch (const Error& error) {
    return error;
  } catch (const std::exception& other) {
    ADD_FAILURE() << "an exception that is no sparccl::Error: " << other.what();
    return std::nullopt;
  }
  ADD_FAILURE() << "nothing was thrown";
  return std::nullopt;
}

void expect_error(const std::function<void()>& f, Result code,
                  const std::vector<std::string>& words) {
  const std::optional<Error> error = error_of(f);
  if (!error) return;
  EXPECT_EQ(error->code(), code) << error->what();
  for (const std::string& word : words) {
    EXPECT_NE(std::string(error->what()).find(word), std::string::npos)
        << "no \"" << word << "\" in: " << error->what();
  }
}

Shape random_shape(std::mt19937_64& random, std::size_t most_work) {
  constexpr std::size_t special[] = {1,    2,    15,   16,    17,    63,    64,     65,
                                     8191, 8192, 8193, 65535, 65536, 65537, 100'003};
  constexpr int worlds[] = {1, 2, 3, 4, 5, 7, 8, 13, 16, 33, 64};
  constexpr double mus[] = {0, 1, 2, 5};
  Shape shape;
  shape.ranks = worlds[random() % std::size(worlds)];
  const std::size_t most = std::max<std::size_t>(1, most_work / std::size_t(shape.ranks));
  shape.count = random() % 2 == 0 ? special[random() % std::size(special)]
                                  : 1 + random() % (std::size_t{1} << random() % 18);
  shape.count = std::min(shape.count, most);
  switch (random() % 5) {
    case 0: shape.k = 1; break;
    case 1: shape.k = shape.count; break;
    case 2: shape.k = std::max<std::size_t>(1, shape.count / 1000); break;
    case 3: shape.k = std::max<std::size_t>(1, shape.count / 20); break;
    default: shape.k = 1 + random() % shape.count;
  }
  shape.type = floating_types[random() % 4];
  do {
    shape.wire = floating_types[random() % 4];
  } while (shape.wire == DataType::float64 && shape.type != DataType::float64);
  shape.mu = mus[random() % 4];
  shape.distortion = random() % 3 == 0 ? Distortion::current : Distortion::previous;
  shape.reduction = random() % 3 == 0 ? Reduction::avg : Reduction::sum;
  return shape;
}

std::string describe(const Shape& shape) {
  std::ostringstream text;
  text << "ranks " << shape.ranks << " n " << shape.count << " k " << shape.k << " "
       << name_of(shape.type) << " wire " << name_of(shape.wire) << " mu " << shape.mu
       << " distortion " << static_cast<int>(shape.distortion) << " " << name_of(shape.reduction);
  return text.str();
}

std::vector<Vector> random_gradients(const Shape& shape, std::mt19937_64& random) {
  const auto any = [&] { return all_patterns[random() % std::size(all_patterns)]; };
  std::vector<Vector> gradients;
  const Pattern pattern = any();
  const bool same = random() % 2 == 0;
  for (int r = 0; r < shape.ranks; ++r) {
    Vector g = make_data(same ? pattern : any(), shape.count, shape.type, random());
    // Far from overflow, which has tests of its own.
    const double most = largest(shape.type) / 256;
    for (double& x : g) x = std::clamp(x, -most, most);
    gradients.push_back(std::move(g));
  }
  return gradients;
}

std::vector<Vector> integer_gradients(const Shape& shape, int most, std::mt19937_64& random) {
  std::vector<Vector> gradients;
  for (int r = 0; r < shape.ranks; ++r) {
    gradients.push_back(make_integers(shape.count, most, random()));
  }
  return gradients;
}

}  // namespace sparccl::test
