#include "rank_checks.hpp"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <random>
#include <stdexcept>
#include <thread>

#include <sparccl/nccl.hpp>

namespace sparccl::test {
namespace {

using namespace std::chrono_literals;

constexpr std::size_t count = 300'001;  // five blocks, the last one odd

void require(bool holds, const std::string& what) {
  if (!holds) throw std::runtime_error(what);
}

bool same_bits(const std::vector<float>& a, const std::vector<float>& b) {
  return a.size() == b.size() && std::memcmp(a.data(), b.data(), a.size() * sizeof(float)) == 0;
}

/// Whole numbers, so that every sum of a few dozen of them is exact.
std::vector<float> integers(unsigned seed, int rank) {
  std::minstd_rand random(seed * 1000 + static_cast<unsigned>(rank) + 1);
  std::uniform_int_distribution<int> number(1, 1000);
  std::vector<float> values(count);
  for (float& v : values) {
    const int magnitude = number(random);
    v = static_cast<float>(random() % 2 == 0 ? magnitude : -magnitude);
  }
  return values;
}

std::vector<float> gaussian(unsigned seed, int rank) {
  std::minstd_rand random(seed * 1000 + static_cast<unsigned>(rank) + 1);
  std::normal_distribution<float> normal;
  std::vector<float> values(count);
  for (float& v : values) v = normal(random);
  return values;
}

/// A tensor on this rank with a gradient and a result of its own.
class Tensor {
 public:
  Tensor(const World& world, const Communicator& communicator, const std::string& name,
         const Options& options, std::size_t n = count)
      : world_(world),
        call_(communicator, name, n, DataType::float32, options),
        gradient_(n),
        result_(n) {}

  void enqueue() { call_(gradient_.get(), result_.get(), 1.0, world_.stream()); }
  std::vector<float> step(const std::vector<float>& gradient) {
    gradient_.set(gradient);
    enqueue();
    return result();
  }
  void set(const std::vector<float>& gradient) { gradient_.set(gradient); }
  [[nodiscard]] std::vector<float> result() const {
    world_.finish();
    return host_copy<float>(result_.get(), result_.size());
  }
  [[nodiscard]] std::vector<float> residual() const {
    world_.finish();
    return host_copy<float>(call_.residual(), result_.size());
  }
  [[nodiscard]] SparseAllreduce& call() { return call_; }

 private:
  const World& world_;
  SparseAllreduce call_;
  DeviceArray<float> gradient_, result_;
};

/// The code that the communicator comes to, and its sentence.
std::pair<Result, std::string> failure_of(const Communicator& communicator) {
  for (int i = 0; i < 300 && communicator.async_error() == Result::success; ++i) {
    std::this_thread::sleep_for(100ms);
  }
  return {communicator.async_error(), communicator.async_error_text()};
}

Result code_of(const std::function<void()>& call) {
  try {
    call();
  } catch (const Error& error) {
    return error.code();
  }
  return Result::success;
}

void density_one_is_dense(const World& world, const std::string&) {
  const Communicator ranks = nccl_communicator(world.communicator());
  Tensor tensor(world, ranks, "dense", {.density = 1.0});
  for (unsigned step = 0; step < 3; ++step) {
    const std::vector<float> mine = integers(step, world.rank());
    const std::vector<float> found = tensor.step(mine), dense = world.sum(mine);
    require(found == dense, "step " + std::to_string(step) + " is not the dense sum");
  }
}

void same_bits_on_every_rank(const World& world, const std::string&) {
  const Communicator ranks = nccl_communicator(world.communicator());
  Tensor tensor(world, ranks, "same", {.density = 0.01});
  for (unsigned step = 0; step < 10; ++step) {
    const std::vector<float> found = tensor.step(gaussian(step, world.rank()));
    const auto sent =
        static_cast<std::size_t>(std::ranges::count_if(found, [](float v) { return v != 0; }));
    require(sent >= tensor.call().k() && sent <= tensor.call().sparse_capacity(),
            "step " + std::to_string(step) + " has " + std::to_string(sent) + " entries");
    require(world.same_everywhere(found),
            "step " + std::to_string(step) + " differs between ranks");
  }
}

void nothing_is_lost(const World& world, const std::string&) {
  const Communicator ranks = nccl_communicator(world.communicator());
  Tensor tensor(world, ranks, "conserved", {.density = 0.002});
  std::vector<float> given(count), sent(count);
  for (unsigned step = 0; step < 20; ++step) {
    const std::vector<float> mine = integers(step, world.rank());
    const std::vector<float> found = tensor.step(mine);
    for (std::size_t i = 0; i < count; ++i) {
      given[i] += mine[i];
      sent[i] += found[i];
    }
  }
  const std::vector<float> all_given = world.sum(given), kept = world.sum(tensor.residual());
  for (std::size_t i = 0; i < count; ++i) {
    require(sent[i] + kept[i] == all_given[i], "entry " + std::to_string(i) + " lost something");
  }
}

void graph_gives_the_bits_of_calls(const World& world, const std::string&) {
  const Communicator ranks = nccl_communicator(world.communicator());
  Tensor eager(world, ranks, "eager", {.density = 0.005});
  Tensor replayed(world, ranks, "replayed", {.density = 0.005});
  const std::vector<float> gradient = gaussian(1, world.rank());
  eager.step(gradient);
  replayed.step(gradient);

  cudaGraph_t graph = nullptr;
  cudaGraphExec_t instance = nullptr;
  check(cudaStreamBeginCapture(world.stream(), cudaStreamCaptureModeThreadLocal));
  replayed.enqueue();
  check(cudaStreamEndCapture(world.stream(), &graph));
  check(cudaGraphInstantiate(&instance, graph, 0));
  for (unsigned step = 0; step < 100; ++step) {
    const std::vector<float> next = gaussian(step + 2, world.rank());
    const std::vector<float> expected = eager.step(next);
    replayed.set(next);
    check(cudaGraphLaunch(instance, world.stream()));
    require(same_bits(replayed.result(), expected), "replay " + std::to_string(step) + " differs");
  }
  require(same_bits(replayed.residual(), eager.residual()), "the residuals differ");
  require(replayed.call().stats().steps == 101, "the replays were not counted");
  check(cudaGraphExecDestroy(instance));
  check(cudaGraphDestroy(graph));
}

void non_finite_step_is_as_if_it_had_not_been(const World& world, const std::string&) {
  const Communicator ranks = nccl_communicator(world.communicator());
  Tensor tensor(world, ranks, "non_finite", {.density = 0.01});
  tensor.step(integers(1, world.rank()));
  const std::vector<float> before = tensor.residual();
  std::vector<float> broken = integers(2, world.rank());
  if (world.rank() == world.size() - 1) broken[count / 2] = NAN;
  const std::vector<float> result = tensor.step(broken);
  require(std::ranges::all_of(result, [](float v) { return std::isnan(v); }),
          "the result is not NaN throughout");
  require(same_bits(tensor.residual(), before), "the residual is not as before");
  require(tensor.call().stats().non_finite_steps == 1, "the step was not counted");
  const std::vector<float> next = tensor.step(integers(3, world.rank()));
  require(std::ranges::all_of(next, [](float v) { return std::isfinite(v); }),
          "the step after is not finite");
  require(world.same_everywhere(next), "the step after differs between ranks");
}

void mismatch_names_the_rank(const World& world, const std::string&) {
  const Communicator ranks = nccl_communicator(world.communicator());
  const int odd = world.size() - 1;
  Tensor tensor(world, ranks, "fc1.weight", {.density = 0.01},
                world.rank() == odd ? count + 1 : count);
  const Result at_once = code_of([&] { tensor.enqueue(); });
  world.finish();
  const auto [code, text] = failure_of(ranks);
  require(at_once == Result::success || at_once == Result::mismatch,
          std::string("the call threw ") + name_of(at_once));
  require(code == Result::mismatch, std::string("found ") + name_of(code) + ": " + text);
  for (const std::string& part : {std::string("fc1.weight"), "rank " + std::to_string(odd)}) {
    require(text.find(part) != std::string::npos, "\"" + text + "\" does not say \"" + part + "\"");
  }
  const Result next = code_of([&] { tensor.enqueue(); });
  require(next == Result::mismatch, std::string("the next call gave ") + name_of(next));
}

/// Rank 0 stays away; the others' calls are stuck on the device until they are aborted.
void abort_ends_a_stuck_call(const World& world, const std::string& folder) {
  const auto done = [&](int rank) { return folder + "/done." + std::to_string(rank); };
  Communicator ranks = nccl_communicator(world.communicator());
  if (world.rank() == 0) {
    for (int rank = 1; rank < world.size(); ++rank) {
      while (!std::filesystem::exists(done(rank))) std::this_thread::sleep_for(50ms);
    }
    return;
  }
  Tensor tensor(world, ranks, "stuck", {.density = 0.01});
  std::thread other([&] {
    std::this_thread::sleep_for(1s);
    ranks.abort();
  });
  const auto start = std::chrono::steady_clock::now();
  const Result first = code_of([&] { tensor.enqueue(); });
  const cudaError_t finished = cudaStreamSynchronize(world.stream());
  other.join();
  const auto took = std::chrono::steady_clock::now() - start;
  std::ofstream(done(world.rank())) << "done\n";
  require(first == Result::success || first == Result::aborted,
          std::string("the call threw ") + name_of(first));
  require(finished == cudaSuccess, cudaGetErrorString(finished));
  require(took > 500ms, "the call was not stuck");
  require(took < 30s, "the abort took too long");
  const Result next = code_of([&] { tensor.enqueue(); });
  require(next == Result::aborted, std::string("the next call gave ") + name_of(next));
}

}  // namespace

const std::vector<RankCheck>& rank_checks() {
  static const std::vector<RankCheck> all = {
      {"density_one_is_dense", density_one_is_dense},
      {"same_bits_on_every_rank", same_bits_on_every_rank},
      {"nothing_is_lost", nothing_is_lost},
      {"graph_gives_the_bits_of_calls", graph_gives_the_bits_of_calls},
      {"non_finite_step_is_as_if_it_had_not_been", non_finite_step_is_as_if_it_had_not_been},
      {"mismatch_names_the_rank", mismatch_names_the_rank},
      {"abort_ends_a_stuck_call", abort_ends_a_stuck_call},
  };
  return all;
}

}  // namespace sparccl::test
