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
#include "batches.hpp"
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

/// The share of the test images that is classified right. Each rank looks at its part of them.
double accuracy(Backend& backend, Model& model, std::size_t images) {
  const Communicator& communicator = backend.communicator();
  const auto [first, last] = share(images, communicator.rank(), communicator.size());
  const std::uint64_t correct = model.count_correct(first, last);
  return static_cast<double>(all_reduce(backend, correct, Reduction::sum)) /
         static_cast<double>(images);
}

/// About `points` evenly spaced ones, and powers of two: the early ones, on a logarithmic axis.
bool is_evaluated(std::size_t done, std::size_t steps, std::size_t points) {
  const std::size_t every = std::max<std::size_t>(1, steps / points);
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
  const std::size_t shard = data.train.size() / static_cast<std::size_t>(ranks);
  const std::size_t own = (config.batch - 1) / static_cast<std::size_t>(ranks) + 1;
  if (config.shards != Shards::none && own > shard) {
    fail("--batch: expected at most " + std::to_string(shard * static_cast<std::size_t>(ranks)) +
         ", so that a rank's part of it fits its shard of " + std::to_string(shard) +
         " images, found " + std::to_string(config.batch));
  }
}

std::size_t steps_of(const Config& config, const Data& data) {
  if (config.steps != 0) return config.steps;
  const std::size_t steps = config.epochs * (data.train.size() / config.batch);
  return std::max<std::size_t>(1, steps / config.local_steps);
}

Network network_of(const Config& config, const Data& data) {
  std::vector<std::size_t> widths = config.hidden;
  widths.push_back(classes);
  return {{data.train.rows, data.train.columns, data.train.channels}, config.convolutions, widths};
}

MethodResult train(Backend& backend, Method method, const Config& config, const Data& data,
                   const Watcher& watcher) {
  const Communicator& communicator = backend.communicator();
  const Network network = network_of(config, data);
  const std::unique_ptr<Model> model = backend.model(network, data, config.seed);
  const std::unique_ptr<StepClock> clock = backend.clock();
  GradientAverage average(communicator, network.parameter_count, method, config);
  RankBatches batches(data.train, config, communicator.rank(), communicator.size());

  // The mean over the ranks of (ranks / batch) x summed loss is the mean over the batch.
  const float scale = static_cast<float>(communicator.size()) / static_cast<float>(config.batch);
  const std::size_t steps = steps_of(config, data);
  const auto rate = static_cast<float>(config.learning_rate);

  MethodResult result;
  result.method = method;
  result.steps = steps;
  std::size_t images = 0;  // since the last point
  result.curve.push_back({0, 0, NAN, accuracy(backend, *model, data.test.size())});

  for (std::size_t step = 0; step < steps; ++step) {
    clock->begin();
    if (config.local_steps == 1) {
      model->backward(batches.next(), scale);
    } else {
      model->begin_local();
      for (std::size_t local = 0; local < config.local_steps; ++local) {
        model->backward(batches.next(), scale);
        model->descend(rate);
      }
      model->end_local(rate);
    }
    clock->gradient_done();
    average(step, model->gradient(), backend.stream());
    clock->average_done();
    model->descend(rate);
    clock->update_done();

    images += config.batch * config.local_steps;
    const std::size_t done = step + 1;
    if (is_evaluated(done, steps, config.points)) {
      double loss = model->take_loss();  // waits: what comes after sees all of the step
      backend.all_reduce(&loss, 1, DataType::float64, Reduction::sum);
      result.curve.push_back({done, average.wire_bytes(), loss / static_cast<double>(images),
                              accuracy(backend, *model, data.test.size())});
      images = 0;
    }
    watcher(done, result.curve.back());
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
