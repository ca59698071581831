// The papers' toy (arXiv 2409.14893): logistic regression on two points, (100, 1) and (-100, 1),
// one on each of two workers, of whose two gradient entries each sends one. The first entries are
// large and cancel; the second are small and agree. Top-k sends the first and stands still until
// the residual of the second outgrows them; RegTop-k has seen that they cancel.
#include <sparccl/sparccl.hpp>

#include <CLI/CLI.hpp>
#include <array>
#include <cmath>
#include <cstdio>
#include <fstream>
#include <nlohmann/json.hpp>
#include <string>
#include <thread>
#include <vector>

#include "study/between.hpp"

namespace {

using Weights = std::array<double, 2>;

struct Settings {
  double step = 0.9;
  double mu = 1;  // of RegTop-k
  int rounds = 150;
};

constexpr std::array<Weights, 2> points{{{100, 1}, {-100, 1}}};

double along(const Weights& weights, const Weights& point) {
  return weights[0] * point[0] + weights[1] * point[1];
}

/// Mean over the workers of log(1 + exp(-w x)).
double loss(const Weights& weights) {
  double sum = 0;
  for (const Weights& point : points) sum += std::log1p(std::exp(-along(weights, point)));
  return sum / static_cast<double>(points.size());
}

Weights gradient(const Weights& weights, const Weights& point) {
  const double share = -1 / (1 + std::exp(along(weights, point)));
  return {share * point[0], share * point[1]};
}

/// The weights before each round and after the last. density 1 is the dense allreduce; mu 0 Top-k.
std::vector<Weights> descend(const Settings& settings, double density, double mu) {
  std::vector<Weights> course;
  std::vector<sparccl::Communicator> communicators =
      sparccl::Communicator::local(static_cast<int>(points.size()));
  std::vector<std::jthread> threads;
  for (const sparccl::Communicator& communicator : communicators) {
    threads.emplace_back([&] {
      sparccl::SparseAllreduce average(
          communicator, "weights", 2, sparccl::DataType::float64,
          {.density = density, .mu = mu, .reduction = sparccl::Reduction::avg});
      Weights weights{0, 1};
      for (int round = 0; round <= settings.rounds; ++round) {
        if (communicator.rank() == 0) course.push_back(weights);
        const auto rank = static_cast<std::size_t>(communicator.rank());
        Weights mean = gradient(weights, points[rank]);
        average(mean.data(), mean.data());
        for (std::size_t i = 0; i < 2; ++i) weights[i] -= settings.step * mean[i];
      }
    });
  }
  threads.clear();  // joins
  return course;
}

struct Curve {
  std::string method;
  std::vector<Weights> weights;
};

void print(const std::vector<Curve>& curves) {
  std::printf("# loss after so many rounds, and the second weight\n#%7s", "round");
  for (const Curve& curve : curves) std::printf(" %10s %8s", curve.method.c_str(), "w[1]");
  std::printf("\n");
  const std::size_t rounds = curves.front().weights.size() - 1;
  for (std::size_t round = 0; round <= rounds; round += round < 10 ? 1 : 10) {
    std::printf("%8zu", round);
    for (const Curve& curve : curves) {
      std::printf(" %10.3g %8.3f", loss(curve.weights[round]), curve.weights[round][1]);
    }
    std::printf("\n");
  }
}

nlohmann::json json_of(const Settings& settings, const std::vector<Curve>& curves) {
  nlohmann::json methods = nlohmann::json::array();
  for (const Curve& curve : curves) {
    std::vector<double> losses;
    for (const Weights& weights : curve.weights) losses.push_back(loss(weights));
    methods.push_back({{"method", curve.method}, {"weights", curve.weights}, {"loss", losses}});
  }
  return {{"step", settings.step}, {"mu", settings.mu}, {"k", 1}, {"methods", methods}};
}

}  // namespace

int main(int argc, char** argv) {
  Settings settings;
  std::string file;
  CLI::App app("Logistic regression on two points that two workers hold: dense, Top-k, RegTop-k.");
  app.add_option("--step", settings.step, "of the descent")
      ->check(study::between(study::tiny, 1e30, "a number above 0"))
      ->capture_default_str();
  app.add_option("--mu", settings.mu, "of RegTop-k")
      ->check(study::between(0, 1e30, "a number from 0"))
      ->capture_default_str();
  app.add_option("--rounds", settings.rounds, "of the descent")
      ->check(study::between(1, 1e6, "a whole number from 1 to 1000000"))
      ->capture_default_str();
  app.add_option("--json", file, "write all rounds to this file");
  CLI11_PARSE(app, argc, argv);
  const std::vector<Curve> curves{{"dense", descend(settings, 1, 0)},
                                  {"topk", descend(settings, 0.5, 0)},
                                  {"regtopk", descend(settings, 0.5, settings.mu)}};
  print(curves);
  if (file.empty()) return 0;
  std::ofstream stream(file);
  stream << json_of(settings, curves).dump() << "\n";
  stream.close();
  if (stream) return 0;
  std::fprintf(stderr, "toy: cannot write %s\n", file.c_str());
  return 1;
}
