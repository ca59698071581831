// Training in host memory: Eigen for the algebra, MPI or threads for the ranks.
#include "backend.hpp"

#include <chrono>
#include <utility>

#include "host/classifier.hpp"

namespace mnist {
namespace {

using sparccl::Communicator;
using sparccl::DataType;
using sparccl::Reduction;

/// Images as the network wants them: pixels from 0 to 1, and their labels.
struct Batch {
  Floats inputs;
  std::vector<std::uint8_t> labels;

  void clear() {
    inputs.clear();
    labels.clear();
  }
  void add(const Dataset& data, std::size_t i) {
    for (const std::uint8_t pixel : data.image(i)) inputs.push_back(pixel * (1.0F / 255.0F));
    labels.push_back(data.labels[i]);
  }
};

class HostModel final : public Model {
 public:
  HostModel(const Network& network, const Data& data, std::uint64_t seed)
      : data_(data), classifier_(network, seed), gradient_(network.parameter_count) {}

  void backward(std::span<const std::size_t> images, float scale) override {
    batch_.clear();
    for (const std::size_t i : images) batch_.add(data_.train, i);
    loss_ += classifier_.backward(batch_.inputs, batch_.labels, scale, gradient_);
  }

  float* gradient() noexcept override { return gradient_.data(); }

  void descend(float rate) override {
    const std::span<float> weights = classifier_.parameters();
    for (std::size_t i = 0; i < weights.size(); ++i) weights[i] -= rate * gradient_[i];
  }

  void begin_local() override {
    const std::span<const float> weights = classifier_.parameters();
    before_.assign(weights.begin(), weights.end());
  }

  void end_local(float rate) override {
    const std::span<float> weights = classifier_.parameters();
    for (std::size_t i = 0; i < weights.size(); ++i) {
      gradient_[i] = (before_[i] - weights[i]) / rate;
      weights[i] = before_[i];
    }
  }

  double take_loss() override { return std::exchange(loss_, 0); }

  std::size_t count_correct(std::size_t first, std::size_t last) override {
    if (tested_ != std::pair(first, last)) {
      tested_ = {first, last};
      test_batch_.clear();
      for (std::size_t i = first; i < last; ++i) test_batch_.add(data_.test, i);
    }
    return first == last ? 0 : classifier_.count_correct(test_batch_.inputs, test_batch_.labels);
  }

  std::vector<float> parameters() override {
    const std::span<const float> all = classifier_.parameters();
    return {all.begin(), all.end()};
  }

 private:
  const Data& data_;
  Classifier classifier_;
  Floats gradient_;
  Floats before_;  ///< the parameters where local steps began
  Batch batch_;
  double loss_ = 0;
  Batch test_batch_;
  std::pair<std::size_t, std::size_t> tested_;  ///< what test_batch_ holds
};

class HostClock final : public StepClock {
 public:
  explicit HostClock(Communicator communicator) : communicator_(std::move(communicator)) {}

  void begin() override { mark_ = Clock::now(); }

  void gradient_done() override {
    sums_.compute += since_mark();
    // An allreduce of one number is a barrier.
    std::uint64_t nothing = 0;
    communicator_.all_reduce(&nothing, &nothing, 1, DataType::uint64, Reduction::max);
    wait_ += since_mark();
  }

  void average_done() override { sums_.allreduce += since_mark(); }
  void update_done() override { sums_.compute += since_mark(); }

  StepSeconds sums() override {
    StepSeconds sums = sums_;
    sums.wait = wait_;
    return sums;
  }

 private:
  using Clock = std::chrono::steady_clock;

  double since_mark() {
    const auto before = std::exchange(mark_, Clock::now());
    return std::chrono::duration<double>(mark_ - before).count();
  }

  Communicator communicator_;
  Clock::time_point mark_;
  StepSeconds sums_;
  double wait_ = 0;
};

class HostBackend final : public Backend {
 public:
  explicit HostBackend(Communicator communicator) : communicator_(std::move(communicator)) {}

  const Communicator& communicator() const noexcept override { return communicator_; }
  sparccl::Stream stream() const noexcept override { return nullptr; }

  std::unique_ptr<Model> model(const Network& network, const Data& data,
                               std::uint64_t seed) override {
    return std::make_unique<HostModel>(network, data, seed);
  }

  std::unique_ptr<StepClock> clock() override { return std::make_unique<HostClock>(communicator_); }

  void all_reduce(void* values, std::size_t count, DataType type, Reduction reduction) override {
    communicator_.all_reduce(values, values, count, type, reduction);
  }

  std::string device() const override { return {}; }

 private:
  Communicator communicator_;
};

}  // namespace

std::unique_ptr<Backend> host_backend(World& world) {
  return std::make_unique<HostBackend>(world.communicator());
}

}  // namespace mnist
