#include "world.hpp"

#include <algorithm>
#include <cstring>
#include <sstream>

#include <gtest/gtest.h>

#include "sparse_allreduce.hpp"

namespace sparccl::test {

int rounds(int full) { return calls_are_slow() ? (full + 31) / 32 : full; }

std::uint64_t variation() { return 7919 * schedule(); }

std::size_t history_entries_of(const SparseAllreduce& tensor) {
  return history_entries(tensor.impl().communicator().backend(), tensor.impl().plan(),
                         tensor.impl().memory());
}

Bytes state_of(const SparseAllreduce& tensor) {
  const Plan& plan = tensor.impl().plan();
  const StateCopy state =
      copy_state(tensor.impl().communicator().backend(), plan, tensor.impl().memory());
  Bytes bytes;
  const auto add = [&](std::span<const std::byte> part) {
    bytes.insert(bytes.end(), part.begin(), part.end());
  };
  add(state.residual);
  add(std::as_bytes(std::span(state.per_block)));
  add(std::as_bytes(std::span(state.offsets)));
  add(state.ratios);
  return bytes;
}

Vector residual_of(const SparseAllreduce& tensor) {
  const Plan& plan = tensor.impl().plan();
  const StateCopy state =
      copy_state(tensor.impl().communicator().backend(), plan, tensor.impl().memory());
  return to_doubles(plan.accumulator(), state.residual.data(), tensor.count());
}

bool asynchronous(const SparseAllreduce& tensor) {
  return tensor.impl().communicator().asynchronous();
}

namespace {

/// Memory of the tensor's communicator with a copy of `bytes` in it.
Backend::Buffer copy_of(SparseAllreduce& tensor, std::span<const std::byte> bytes) {
  Backend& backend = tensor.impl().communicator().backend();
  Backend::Buffer buffer = backend.allocate(bytes.size());
  backend.upload(buffer.get(), bytes.data(), bytes.size());
  return buffer;
}

}  // namespace

Bytes run(SparseAllreduce& tensor, const Bytes& gradient, double loss_scale, Where where) {
  Backend& backend = tensor.impl().communicator().backend();
  const Backend::Buffer given = copy_of(tensor, gradient);
  Bytes result(gradient.size(), std::byte{0xee});
  const Backend::Buffer apart = copy_of(tensor, result);
  void* const to = where == Where::in_place ? given.get() : apart.get();
  try {
    tensor(given.get(), to, loss_scale);
  } catch (...) {
    backend.finish_all();  // what was enqueued still uses the buffers
    throw;
  }
  backend.finish(nullptr);
  backend.download(result.data(), to, result.size());
  Bytes after(gradient.size());
  backend.download(after.data(), given.get(), after.size());
  if (where == Where::apart) {
    EXPECT_EQ(after, gradient) << "the gradient was written to";
  }
  return result;
}

SparseResult run_sparse(SparseAllreduce& tensor, const Bytes& gradient) {
  Backend& backend = tensor.impl().communicator().backend();
  SparseResult result;
  result.positions.assign(tensor.sparse_capacity(), ~std::uint64_t{0});
  result.values.assign(tensor.sparse_capacity() * size_of(tensor.impl().plan().type),
                       std::byte{0xee});
  const std::span<std::uint64_t> positions(result.positions);
  const Backend::Buffer given = copy_of(tensor, gradient);
  const Backend::Buffer to_positions = copy_of(tensor, std::as_bytes(positions));
  const Backend::Buffer to_values = copy_of(tensor, result.values);
  result.entries =
      tensor.sparse(given.get(), static_cast<std::uint64_t*>(to_positions.get()), to_values.get());
  backend.download(result.positions.data(), to_positions.get(), positions.size_bytes());
  backend.download(result.values.data(), to_values.get(), result.values.size());
  return result;
}

Options options_of(const Shape& shape) {
  return {.k = shape.k,
          .mu = shape.mu,
          .distortion = shape.distortion,
          .wire = shape.wire,
          .reduction = shape.reduction,
          .path = shape.path};
}

World::World(const Shape& shape, const Options& options, const std::string& name)
    : shape_(shape), communicators_(make_ranks(shape.ranks, shape.ranks_per_node)) {
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
    results[r] = run(allreduce, to_bytes(shape_.type, gradients[r]), loss_scale);
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
  shape.ranks = worlds[random() % (calls_are_slow() ? 9 : std::size(worlds))];  // 9: to 16 ranks
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
  if (shape.path != Path::allgather) text << " path " << name_of(shape.path);
  if (shape.ranks_per_node != 0) text << " on nodes of " << shape.ranks_per_node;
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
