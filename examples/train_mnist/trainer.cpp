#include "trainer.hpp"

#include <algorithm>
#include <array>
#include <bit>
#include <chrono>
#include <cmath>
#include <numeric>
#include <random>
#include <span>
#include <stdexcept>
#include <string>
#include <utility>

#include "average.hpp"
#include "mlp.hpp"

namespace mnist {
namespace {

using sparccl::Communicator;
using sparccl::DataType;
using sparccl::Reduction;

double seconds_since(std::chrono::steady_clock::time_point& mark) {
  const auto before = std::exchange(mark, std::chrono::steady_clock::now());
  return std::chrono::duration<double>(mark - before).count();
}

std::uint64_t all_reduce(Communicator& communicator, std::uint64_t value, Reduction reduction) {
  communicator.all_reduce(&value, &value, 1, DataType::uint64, reduction);
  return value;
}

/// Rank r's part of `items`: contiguous, and as large as the others' to within one.
template <class T>
std::span<T> share(std::span<T> items, const Communicator& communicator) {
  const auto rank = static_cast<std::size_t>(communicator.rank());
  const auto ranks = static_cast<std::size_t>(communicator.size());
  const std::size_t begin = items.size() * rank / ranks;
  return items.subspan(begin, items.size() * (rank + 1) / ranks - begin);
}

/// Images as the network wants them: pixels from 0 to 1, and their labels.
struct Batch {
  Floats inputs;
  std::vector<std::uint8_t> labels;

  void fill(const Dataset& data, std::span<const std::size_t> picked) {
    inputs.clear();
    labels.clear();
    for (const std::size_t i : picked) {
      for (const std::uint8_t pixel : data.image(i)) inputs.push_back(pixel * (1.0F / 255.0F));
      labels.push_back(data.labels[i]);
    }
  }
};

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

/// Each rank classifies its share of the test images.
class Evaluation {
 public:
  Evaluation(const Dataset& test, Communicator communicator)
      : communicator_(std::move(communicator)), images_(test.size()) {
    std::vector<std::size_t> all(test.size());
    std::iota(all.begin(), all.end(), std::size_t{0});
    mine_.fill(test, share(std::span<const std::size_t>(all), communicator_));
  }

  double operator()(Mlp& model) {
    const std::size_t correct =
        mine_.labels.empty() ? 0 : model.count_correct(mine_.inputs, mine_.labels);
    return static_cast<double>(all_reduce(communicator_, correct, Reduction::sum)) /
           static_cast<double>(images_);
  }

 private:
  Communicator communicator_;
  std::size_t images_;
  Batch mine_;
};

/// About forty evenly spaced points, and powers of two: the early ones, on a logarithmic axis.
bool is_evaluated(std::size_t done, std::size_t steps) {
  const std::size_t every = std::max<std::size_t>(1, steps / 40);
  return done % every == 0 || done == steps || std::has_single_bit(done);
}

/// Every rank applied the same bits to the same weights, so they must still be the same.
void check_equal_weights(Communicator& communicator, std::span<const float> weights) {
  std::uint64_t hash = 14695981039346656037U;  // FNV-1a
  for (const float weight : weights) {
    hash = (hash ^ std::bit_cast<std::uint32_t>(weight)) * 1099511628211U;
  }
  if (all_reduce(communicator, hash, Reduction::min) !=
      all_reduce(communicator, hash, Reduction::max)) {
    throw std::runtime_error("the ranks ended with different weights");
  }
}

StepSeconds mean_over_ranks(Communicator& communicator, const StepSeconds& sums,
                            std::size_t steps) {
  std::array values{sums.compute, sums.wait, sums.allreduce, sums.transfer};
  communicator.all_reduce(values.data(), values.data(), values.size(), DataType::float64,
                          Reduction::avg);
  const auto count = static_cast<double>(steps);
  return {values[0] / count, values[1] / count, values[2] / count, values[3] / count};
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

MethodResult train(Communicator communicator, Method method, const Config& config, const Data& data,
                   Progress* progress) {
  Mlp model(widths(config, data), config.seed);
  GradientAverage average(communicator, model.parameter_count(), method, config);
  Batches batches(data.train.size(), config.batch, config.seed);
  Evaluation evaluate(data.test, communicator);
  Batch batch;
  Floats gradient(model.parameter_count());

  // The mean over the ranks of (ranks / batch) x summed loss is the mean over the batch.
  const float scale = static_cast<float>(communicator.size()) / static_cast<float>(config.batch);
  const std::size_t steps = config.epochs * (data.train.size() / config.batch);
  const auto rate = static_cast<float>(config.learning_rate);

  MethodResult result;
  result.method = method;
  result.parameters = model.parameter_count();
  result.steps = steps;
  StepSeconds sums;
  double loss = 0;  // of this rank, since the last point
  std::size_t images = 0;
  result.curve.push_back({0, 0, NAN, evaluate(model)});

  for (std::size_t step = 0; step < steps; ++step) {
    auto mark = std::chrono::steady_clock::now();
    batch.fill(data.train, share(batches.next(), communicator));
    loss += model.backward(batch.inputs, batch.labels, scale, gradient);
    images += config.batch;
    sums.compute += seconds_since(mark);

    // An allreduce of one number is a barrier, so that the next one is not charged for slow ranks.
    all_reduce(communicator, 0, Reduction::max);
    sums.wait += seconds_since(mark);

    average(step, gradient);
    sums.allreduce += seconds_since(mark);

    const std::span<float> weights = model.parameters();
    for (std::size_t i = 0; i < weights.size(); ++i) weights[i] -= rate * gradient[i];
    sums.compute += seconds_since(mark);

    const std::size_t done = step + 1;
    if (is_evaluated(done, steps)) {
      communicator.all_reduce(&loss, &loss, 1, DataType::float64, Reduction::sum);
      result.curve.push_back(
          {done, average.wire_bytes(), loss / static_cast<double>(images), evaluate(model)});
      loss = 0;
      images = 0;
    }
    const CurvePoint& last = result.curve.back();
    if (progress != nullptr) progress->update(done, last.training_loss, last.test_accuracy);
  }

  check_equal_weights(communicator, model.parameters());
  sums.transfer = average.transfer_seconds();
  result.seconds = mean_over_ranks(communicator, sums, steps);
  result.wire_bytes_per_step =
      static_cast<double>(average.wire_bytes()) / static_cast<double>(steps);
  result.dense_bytes_per_step =
      static_cast<double>(average.dense_bytes()) / static_cast<double>(steps);
  result.stats = average.stats();
  return result;
}

}  // namespace mnist
