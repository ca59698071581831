#include "trainer.hpp"

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <numeric>
#include <random>
#include <span>
#include <stdexcept>
#include <string>
#include <utility>

#include "average.hpp"
#include "network.hpp"

namespace mnist {
namespace {

using sparccl::Communicator;
using sparccl::DataType;
using sparccl::Reduction;

std::uint64_t all_reduce(Backend& backend, std::uint64_t value, Reduction reduction) {
  backend.all_reduce(&value, 1, DataType::uint64, reduction);
  return value;
}

/// Rank r's part of `count` items, [first, last): contiguous, and as large as the others' to within
/// one.
std::pair<std::size_t, std::size_t> share(std::size_t count, const Communicator& communicator) {
  const auto rank = static_cast<std::size_t>(communicator.rank());
  const auto ranks = static_cast<std::size_t>(communicator.size());
  return {count * rank / ranks, count * (rank + 1) / ranks};
}

/// Every epoch in a new order, which depends on the seed alone. The last, incomplete batch of an
/// epoch is left out.
class Batches {
 public:
  Batches(std::size_t images, std::size_t batch, std::uint64_t seed)
      : order_(images), batch_(batch), next_(images), random_(seed) {
    std::iota(order_.begin(), order_.end(), std::size_t{0});
  }

  std::span<const std::size_t> next() {
    if (next_ + batch_ > order_.size()) {
      std::shuffle(order_.begin(), order_.end(), random_);
      next_ = 0;
    }
    return std::span<const std::size_t>(order_).subspan(std::exchange(next_, next_ + batch_),
                                                        batch_);
  }

 private:
  std::vector<std::size_t> order_;
  std::size_t batch_;
  std::size_t next_;
  std::mt19937_64 random_;
};

/// The share of the test images that is classified right. Each rank looks at its part of them.
double accuracy(Backend& backend, Model& model, std::size_t images) {
  const auto [first, last] = share(images, backend.communicator());
  const std::uint64_t correct = model.count_correct(first, last);
  return static_cast<double>(all_reduce(backend, correct, Reduction::sum)) /
         static_cast<double>(images);
}

/// About forty evenly spaced points, and powers of two: the early ones, on a logarithmic axis.
bool is_evaluated(std::size_t done, std::size_t steps) {
  const std::size_t every = std::max<std::size_t>(1, steps / 40);
  return done % every == 0 || done == steps || std::has_single_bit(done);
}

/// Every rank applied the same bits to the same weights, so they must still be the same.
void check_equal_weights(Backend& backend, std::span<const float> weights) {
  std::uint64_t hash = 14695981039346656037U;  // FNV-1a
  for (const float weight : weights) {
    hash = (hash ^ std::bit_cast<std::uint32_t>(weight)) * 1099511628211U;
  }
  if (all_reduce(backend, hash, Reduction::min) != all_reduce(backend, hash, Reduction::max)) {
    throw std::runtime_error("the ranks ended with different weights");
  }
}

StepSeconds mean_over_ranks(Backend& backend, StepSeconds sums, std::size_t steps) {
  std::array values{sums.compute, sums.allreduce, sums.wait.value_or(0), sums.transfer.value_or(0)};
  backend.all_reduce(values.data(), values.size(), DataType::float64, Reduction::avg);
  for (double& value : values) value /= static_cast<double>(steps);
  sums.compute = values[0];
  sums.allreduce = values[1];
  if (sums.wait) sums.wait = values[2];
  if (sums.transfer) sums.transfer = values[3];
  return sums;
}

}  // namespace

void check(const Config& config, const Data& data, int ranks) {
  const auto fail = [](const std::string& text) { throw std::runtime_error(text); };
  if (data.test.rows != data.train.rows || data.test.columns != data.train.columns) {
    fail(config.data.string() + ": training images are " + std::to_string(data.train.rows) + " x " +
         std::to_string(data.train.columns) + " pixels, test images " +
         std::to_string(data.test.rows) + " x " + std::to_string(data.test.columns));
  }
  if (config.batch > data.train.size()) {
    fail("--batch: expected at most " + std::to_string(data.train.size()) +
         ", the number of training images, found " + std::to_string(config.batch));
  }
  if (config.batch < static_cast<std::size_t>(ranks)) {
    fail("--batch: expected at least " + std::to_string(ranks) +
         ", an image for each rank, found " + std::to_string(config.batch));
  }
}

std::vector<std::size_t> widths(const Config& config, const Data& data) {
  std::vector<std::size_t> all{data.train.image_size()};
  all.insert(all.end(), config.hidden.begin(), config.hidden.end());
  all.push_back(classes);
  return all;
}

MethodResult train(Backend& backend, Method method, const Config& config, const Data& data,
                   Progress* progress) {
  const Communicator& communicator = backend.communicator();
  const Network network(widths(config, data));
  const std::unique_ptr<Model> model = backend.model(network, data, config.seed);
  const std::unique_ptr<StepClock> clock = backend.clock();
  GradientAverage average(communicator, network.parameter_count, method, config);
  Batches batches(data.train.size(), config.batch, config.seed);

  // The mean over the ranks of (ranks / batch) x summed loss is the mean over the batch.
  const float scale = static_cast<float>(communicator.size()) / static_cast<float>(config.batch);
  const std::size_t steps = config.epochs * (data.train.size() / config.batch);
  const auto rate = static_cast<float>(config.learning_rate);
  const auto [first, last] = share(config.batch, communicator);

  MethodResult result;
  result.method = method;
  result.parameters = network.parameter_count;
  result.steps = steps;
  std::size_t images = 0;  // since the last point
  result.curve.push_back({0, 0, NAN, accuracy(backend, *model, data.test.size())});

  for (std::size_t step = 0; step < steps; ++step) {
    clock->begin();
    model->backward(batches.next().subspan(first, last - first), scale);
    clock->gradient_done();
    average(step, model->gradient(), backend.stream());
    clock->average_done();
    model->descend(rate);
    clock->update_done();

    images += config.batch;
    const std::size_t done = step + 1;
    if (is_evaluated(done, steps)) {
      double loss = model->take_loss();  // waits: what comes after sees all of the step
      backend.all_reduce(&loss, 1, DataType::float64, Reduction::sum);
      result.curve.push_back({done, average.wire_bytes(), loss / static_cast<double>(images),
                              accuracy(backend, *model, data.test.size())});
      images = 0;
    }
    const CurvePoint& point = result.curve.back();
    if (progress != nullptr) progress->update(done, point.training_loss, point.test_accuracy);
  }

  check_equal_weights(backend, model->parameters());
  StepSeconds sums = clock->sums();
  if (sums.wait) sums.transfer = average.transfer_seconds();
  result.seconds = mean_over_ranks(backend, sums, steps);
  result.wire_bytes_per_step =
      static_cast<double>(average.wire_bytes()) / static_cast<double>(steps);
  result.dense_bytes_per_step =
      static_cast<double>(average.dense_bytes()) / static_cast<double>(steps);
  result.stats = average.stats();
  return result;
}

}  // namespace mnist
